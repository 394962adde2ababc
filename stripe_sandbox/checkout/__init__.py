"""What can happen to a payment: sessions, refunds, disputes, fraud."""
