"""Target rigs (data) and the transfer of motion to them."""
