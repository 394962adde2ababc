/** The API page: requests that can be sent at the first click. */
const { developmentKey, url, ...settings } = JSON.parse(document.getElementById('swagger-ui').dataset.settings);
const spec = await (await fetch(url)).json();

// A ride has one open or paid payment, and the example's may be an earlier visitor's.
const path = Object.keys(spec.paths).find((each) => each.endsWith('/api/payments'));
const newPayment = spec.paths[path].post.requestBody.content['application/json'].example;
newPayment.rideId = `ride_${Date.now().toString(36)}`;

const ui = window.SwaggerUIBundle({
  ...settings,
  spec,
  dom_id: '#swagger-ui',
  presets: [window.SwaggerUIBundle.presets.apis],
  onComplete: () => developmentKey && ui.preauthorizeApiKey('ApiKey', developmentKey),
});
