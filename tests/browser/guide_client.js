const ws = new WebSocket('ws://localhost:9090/basic/ws');

ws.onopen = function () {
  console.log('Connected to payment service');

  // Register with your user ID
  ws.send(
    JSON.stringify({
      type: 'register',
      userId: 'user_123',
    })
  );
};

ws.onmessage = function (event) {
  const data = JSON.parse(event.data);
  console.log('Received:', data);

  switch (data.type) {
    case 'registration_success':
      console.log('Successfully registered for payment notifications');
      break;

    case 'payment_url':
      console.log('Payment URL received:', data.paymentUrl);
      // Redirect user to payment URL or show in modal
      window.open(data.paymentUrl, '_blank');
      break;

    case 'payment_status_update':
      console.log('Payment status updated:', data.status);
      // Update UI based on payment status
      break;

    case 'error':
      console.error('Error:', data.message);
      break;
  }
};

ws.onerror = function (error) {
  console.error('WebSocket error:', error);
};

ws.onclose = function () {
  console.log('Disconnected from payment service');
};
