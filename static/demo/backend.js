/** The ride's backend: the HTTP API, called from the browser and shown as one would type it. */

const LISTED = 20;

const quote = (text) => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** Return minor units as a person reads them: 1250 of a currency with 2 decimals is 12.50. */
function money(amount, currency, decimals) {
  const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  const format = new Intl.NumberFormat("en", { style: "currency", currency, ...digits });
  return format.format(amount / 10 ** decimals);
}

const newRide = () => `ride_${1000 + Math.floor(Math.random() * 9000)}`;

/** Return a number field's whole number, undefined where it is empty. */
const whole = (field) => (field.value === "" ? undefined : Number(field.value));

/** Return a value that no other request has. `crypto.randomUUID` needs TLS. */
const newKey = () => crypto.getRandomValues(new Uint32Array(4)).join("-");

export class Backend {
  #root = document.querySelector("#backend");
  #ask = document.querySelector("#ask");
  #payments = document.querySelector("#payments");
  #outcome = document.querySelector("#outcome");
  #userId = "";
  #refundKey = newKey();

  constructor() {
    this.#ask.ride.value = newRide();
    this.#ask.addEventListener("input", () => this.#showAmount());
    this.#ask.addEventListener("submit", (event) => this.#submit(event, () => this.#create()));
    this.#payments.addEventListener("submit", (event) =>
      this.#submit(event, () => this.#act(event.submitter.value)),
    );
    // Until something else is chosen, a second click is the same refund: its first answer may have got lost.
    this.#payments.addEventListener("input", () => (this.#refundKey = newKey()));
    this.#showAmount();
  }

  /** Ask on behalf of this user from now on. */
  async serve(userId) {
    this.#userId = userId;
    document.querySelector("#for-rider").textContent = userId;
    await this.#list();
  }

  /** Keep the buttons still while a request is under way, so that a double click is one request. */
  async #submit(event, action) {
    event.preventDefault();
    const buttons = this.#root.querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    await action();
    for (const button of buttons) button.disabled = false;
    event.submitter?.focus();
  }

  async #create() {
    const { ride, amount, currency } = this.#ask;
    const body = {
      rideId: ride.value,
      userId: this.#userId,
      amount: whole(amount),
      currency: currency.value.toLowerCase(),
    };
    const answer = await this.#call("POST", "", body);
    if (!answer) return;
    this.#say("good", `Payment asked for. It is ${answer.status}, and the link is on its way to the phone.`);
    this.#ask.ride.value = newRide();
    await this.#list();
  }

  async #act(action) {
    const { payment, refund } = this.#payments;
    const path = `/${payment.value}`;
    if (action === "look-up") {
      const answer = await this.#call("GET", path);
      if (answer) this.#say("", `${answer.rideId} is ${answer.status}.`);
    } else if (action === "cancel") {
      const answer = await this.#call("POST", `${path}/cancel`);
      if (answer) this.#say("good", `${answer.rideId} is ${answer.status}: its link can no longer be paid.`);
    } else {
      const headers = { "Idempotency-Key": this.#refundKey };
      const answer = await this.#call("POST", `${path}/refund`, { amount: whole(refund) }, headers);
      if (!answer) return;
      this.#say("good", `Refund of ${this.#money(answer)}: ${answer.status}.`);
      this.#refundKey = newKey();
      refund.value = "";
    }
  }

  /** Fill the choice of payments with the user's newest. */
  async #list() {
    const answer = await this.#fetch("GET", `?userId=${encodeURIComponent(this.#userId)}&limit=${LISTED}`);
    const payments = answer.ok ? answer.body.payments : [];
    this.#payments.hidden = payments.length === 0;
    this.#payments.payment.replaceChildren(
      ...payments.map((payment) => new Option(`${payment.rideId}, ${this.#money(payment)}`, payment.id)),
    );
  }

  #showAmount() {
    const { amount, currency } = this.#ask;
    const sum = { amount: amount.valueAsNumber, currency: currency.value };
    document.querySelector("#shown-amount").value = amount.validity.valid ? this.#money(sum) : "…";
  }

  #money({ amount, currency }) {
    const option = [...this.#ask.currency.options].find(({ value }) => value === currency.toUpperCase());
    return option ? money(amount, option.value, Number(option.dataset.decimals)) : `${amount} ${currency}`;
  }

  /** Call the API in sight of all; return the answer's body, or nothing where it was refused. */
  async #call(method, path, body, headers = {}) {
    document.querySelector("#request").textContent = this.#curl(method, path, body, headers);
    const answer = await this.#fetch(method, path, body, headers);
    const badge = document.querySelector("#answer-status");
    badge.textContent = answer.status;
    badge.className = `badge ${answer.ok ? "good" : "bad"}`;
    document.querySelector("#answer").textContent = JSON.stringify(answer.body, null, 2);
    document.querySelector("#no-call").hidden = true;
    document.querySelector("#last-call").hidden = false;
    if (answer.ok) return answer.body;
    this.#say("bad", answer.body.error?.message ?? "The service did not answer.");
    return undefined;
  }

  async #fetch(method, path, body, more = {}) {
    const headers = { Authorization: `Bearer ${this.#root.dataset.key}`, ...more };
    if (body) headers["Content-Type"] = "application/json";
    try {
      const response = await fetch(this.#root.dataset.api + path, {
        method,
        headers,
        body: body && JSON.stringify(body),
      });
      return { ok: response.ok, status: `HTTP ${response.status}`, body: await response.json() };
    } catch {
      return { ok: false, status: "no answer", body: {} };
    }
  }

  #curl(method, path, body, headers) {
    const lines = [
      `curl -X ${method} ${quote(location.origin + this.#root.dataset.api + path)}`,
      `-H ${quote(`Authorization: Bearer ${this.#root.dataset.key}`)}`,
      ...Object.entries(headers).map(([name, value]) => `-H ${quote(`${name}: ${value}`)}`),
    ];
    if (body) lines.push(`-H 'Content-Type: application/json'`, `-d ${quote(JSON.stringify(body))}`);
    return lines.join(" \\\n  ");
  }

  #say(tone, sentence) {
    this.#outcome.hidden = false;
    this.#outcome.className = `note ${tone}`;
    this.#outcome.textContent = sentence;
  }
}
