"""Real-time notifications: durable feeds, and the WebSockets that follow them."""
