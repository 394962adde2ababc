"""Money: payments, their facts and status, refunds, and what Stripe says of them."""
