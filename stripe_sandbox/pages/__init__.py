"""The pages in a browser: payment, receipt, control."""
