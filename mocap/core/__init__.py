"""The product's types, conventions, errors, diagnostics and progress protocol."""
