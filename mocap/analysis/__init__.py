"""What a person looks at: quality figures, the HTML report, the overlay video."""
