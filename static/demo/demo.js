/** The demo page: a backend and a rider's phone, which share nothing but the user id. */

import { Backend } from "./backend.js";
import { Phone } from "./phone.js";

const REMEMBERED = "demo-user";

const backend = new Backend();
const phone = new Phone();

function begin(userId) {
  sessionStorage.setItem(REMEMBERED, userId);
  backend.serve(userId);
  phone.signIn(userId);
}

document.querySelector("#rider").addEventListener("submit", (event) => {
  event.preventDefault();
  begin(phone.userId);
});

begin(sessionStorage.getItem(REMEMBERED) ?? `rider_${1000 + Math.floor(Math.random() * 9000)}`);
