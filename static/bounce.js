/** After Checkout, open the rider's app by itself, once: on a phone, where the app is, and not on the way back. */

const [visit] = performance.getEntriesByType("navigation");
const isPhone = matchMedia("(pointer: coarse)").matches;
const openApp = () => location.assign(document.querySelector("#app").href);

// The page is shown first: it stays behind the app, or alone where there is no app.
if (isPhone && visit?.type === "navigate") addEventListener("load", openApp);
