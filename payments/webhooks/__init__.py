"""What Stripe delivers: verified, stored once, matched with payments, and applied."""
