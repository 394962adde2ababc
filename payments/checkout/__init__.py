"""Create, cancel and refund payments."""
