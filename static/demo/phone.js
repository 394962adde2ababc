/** The rider's phone: what a ride app does with the notifications. */

import { PaymentNotifications } from "../clients/payment-notifications.js";
import { clock, showFrame } from "./frames.js";

const STATUS = {
  pending: ["Waiting for payment", "warn"],
  processing: ["Bank is confirming", "warn"],
  succeeded: ["Paid", "good"],
  failed: ["Payment failed", "bad"],
  expired: ["Link expired", ""],
  canceled: ["Canceled", ""],
  partially_refunded: ["Partly refunded", ""],
  refunded: ["Refunded", ""],
  disputed: ["Disputed", "bad"],
  charged_back: ["Charged back", "bad"],
};

/** After a declined card the same link takes another one. */
const PAYABLE = new Set(["pending", "failed"]);

const CONNECTION = {
  connecting: "Connecting…",
  registered: "Connected",
  disconnected: "Connection lost, trying again",
  closed: "Offline",
};

const REFUSED = { 4401: "Refused: not authorised", 4409: "Replaced by a newer connection" };

/** The browser's WebSocket, with its frames shown. */
class WatchedSocket extends WebSocket {
  /** The number of the newest notification when the phone registered: what is not newer is shown late. */
  static lastSeq = 0;

  constructor(url) {
    super(url);
    this.addEventListener("message", ({ data }) => this.#watch(data));
  }

  #watch(text) {
    showFrame("↓", text);
    const frame = JSON.parse(text);
    if (frame.type === "registration_success") WatchedSocket.lastSeq = frame.lastSeq;
  }

  send(text) {
    showFrame("↑", text);
    super.send(text);
  }
}

/** Stands where the time would: notifications do not say when they were first sent. */
function earlier() {
  const word = document.createElement("span");
  word.className = "earlier";
  word.textContent = "earlier";
  return word;
}

/** Lives as long as the page, as do the rides on it: after a reload the service tells everything again. */
class PageMemory extends Map {
  getItem(key) {
    return this.get(key) ?? null;
  }

  setItem(key, value) {
    this.set(key, value);
  }
}

export class Phone {
  #socket = document.querySelector("#phone").dataset.socket;
  #user = document.querySelector("#user");
  #token = document.querySelector("#token");
  #connection = document.querySelector("#connection");
  #line = document.querySelector("#line");
  #list = document.querySelector("#rides");
  #news = document.querySelector("#news");
  #cards = new Map();
  #memory = new PageMemory();
  #notifications = null;

  constructor() {
    this.#line.addEventListener("click", () => this.#toggleLine());
  }

  get userId() {
    return this.#user.value;
  }

  /** Register as a user; another one's rides go. */
  signIn(userId) {
    this.#user.value = userId;
    this.#memory.clear();
    this.#forgetRides();
    this.#connect();
  }

  #connect() {
    this.#notifications?.close();
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const notifications = new PaymentNotifications({
      url: `${scheme}://${location.host}${this.#socket}`,
      userId: this.userId,
      token: this.#token?.value || undefined,
      storage: this.#memory,
      WebSocket: WatchedSocket,
    });
    notifications.addEventListener("status", ({ detail }) => this.#showConnection(detail));
    notifications.addEventListener("payment_url", ({ detail }) => this.#offer(detail));
    notifications.addEventListener("payment_status_update", ({ detail }) => this.#follow(detail));
    notifications.addEventListener("reset", () => this.#forgetRides());
    this.#notifications = notifications;
    this.#showConnection({ status: notifications.status });
  }

  #toggleLine() {
    if (this.#notifications.status === "closed") this.#connect();
    else this.#notifications.close();
  }

  #showConnection({ status, code }) {
    this.#connection.dataset.status = status;
    this.#connection.textContent = REFUSED[code] ?? CONNECTION[status];
    this.#line.textContent = status === "closed" ? "Reconnect" : "Disconnect";
  }

  #offer({ rideId, paymentUrl, status, seq }) {
    const card = this.#card(rideId);
    card.querySelector(".pay").href = paymentUrl;
    this.#mark(card, { rideId, status, seq, label: "Payment link received" });
  }

  #follow({ rideId, status, seq }) {
    const card = this.#card(rideId);
    // The customer is through with Checkout: should the bank say no, this link takes no second try.
    if (status === "processing") card.querySelector(".pay").removeAttribute("href");
    this.#mark(card, { rideId, status, seq, label: STATUS[status]?.[0] ?? status });
  }

  #mark(card, { rideId, status, seq, label }) {
    const [name, tone] = STATUS[status] ?? [status, ""];
    const badge = card.querySelector(".badge");
    badge.textContent = name;
    badge.className = `badge ${tone}`;
    const pay = card.querySelector(".pay");
    pay.hidden = !PAYABLE.has(status) || !pay.href;
    const entry = document.createElement("li");
    entry.append(label, seq > WatchedSocket.lastSeq ? clock() : earlier());
    card.querySelector(".time-line").append(entry);
    this.#news.textContent = `${rideId}: ${label}`;
  }

  /** Return the ride's card, a new one on top. */
  #card(rideId) {
    if (!this.#cards.has(rideId)) {
      const card = document.querySelector("#ride-card").content.firstElementChild.cloneNode(true);
      card.querySelector("h3").textContent = rideId;
      this.#list.prepend(card);
      this.#cards.set(rideId, card);
    }
    return this.#cards.get(rideId);
  }

  #forgetRides() {
    this.#cards.clear();
    this.#list.replaceChildren();
    this.#news.textContent = "";
  }
}
