"""What a reader asks for, and where its bytes come from."""
