/**
 * A user's payment notifications over the service's WebSocket, without a gap and without a repetition.
 *
 * The class keeps one connection up: it registers, remembers the number of the newest notification (`seq`) and the
 * epoch of the numbers, notices a dead connection, reconnects, and asks for what it missed meanwhile.
 *
 *     const notifications = new PaymentNotifications({ url: "wss://pay.example/basic/ws", userId: "user_123" });
 *     notifications.addEventListener("payment_url", ({ detail }) => offer(detail.rideId, detail.paymentUrl));
 *     notifications.addEventListener("payment_status_update", ({ detail }) => show(detail.rideId, detail.status));
 *
 * No dependency, no build step; browsers of 2021 and later.
 *
 * @module payment-notifications
 */

/**
 * @typedef {object} Options
 * @property {string} url The service's WebSocket, `ws://…/basic/ws` or `wss://…/basic/ws`.
 * @property {string} userId Whose notifications.
 * @property {string | (() => string | null | Promise<string | null>)} [token] Proves the user id, where the service
 *   asks for that. It goes into `register`, never into the address. A function is called for each registration and gets
 *   a fresh one, so that the client comes back when a token expires; it returns null where the user is no longer to be
 *   served.
 * @property {Pick<Storage, "getItem" | "setItem">} [storage] Keeps number and epoch beyond the page, for example
 *   `localStorage`. Give one only if the app keeps its payments, too: without one, a new object gets
 *   everything that the service still has.
 * @property {typeof WebSocket} [WebSocket] Another implementation; the browser's by default.
 */

/** @typedef {"connecting" | "registered" | "disconnected" | "closed"} Status */

/**
 * The events, all of them `CustomEvent`; here is what `detail` holds.
 *
 * - `status` {status: Status, code?: number, retryIn?: number}: `disconnected` says with which close code, and in
 *   how many milliseconds it tries again; `closed` is for good.
 * - `payment_url` {type, rideId, paymentUrl, status, seq}: the Checkout link of a new payment.
 * - `payment_status_update` {type, rideId, status, stripeSessionId, seq}: a payment's status changed.
 * - `reset` {lastSeq: number}: the service no longer has all that was missed. Fetch the payments over HTTP; what
 *   comes after `lastSeq` arrives here.
 * - `error` {type, message, code?}: the service refused something.
 *
 * @typedef {"status" | "payment_url" | "payment_status_update" | "reset" | "error"} EventName
 */

const PING_EVERY = 20_000;
const ANSWER_WITHIN = 10_000;
const FIRST_DELAY = 1_000;
const LONGEST_DELAY = 30_000;

/** Not authorised: trying again cannot help, unless a token was taken before and a fresh one can be got. */
const UNAUTHORIZED = 4401;

/** Replaced by a newer connection: trying again would replace that one. */
const REPLACED = 4409;

/** The server goes away, and others serve already; or the numbers have a new epoch. */
const GOING_AWAY = 4412;

export class PaymentNotifications extends EventTarget {
  #options;
  #storageKey;
  /** @type {Status} */
  #status = "connecting";
  #lastSeq = 0;
  /** What the numbers count in, undefined before the service said it. Another epoch gives them to other notifications. */
  #epoch;
  /** How many connections were lost since one answered a ping. */
  #losses = 0;
  /** @type {WebSocket | null} */
  #socket = null;
  /** Timers: the next ping, the latest time for an answer, the next connection. */
  #pinging;
  #deadline;
  #retry;
  #pause = 0;

  /** @param {Options} options */
  constructor(options) {
    super();
    this.#options = { WebSocket: globalThis.WebSocket, ...options };
    this.#storageKey = `payment-notifications:${options.url}:${options.userId}`;
    this.#restore();
    globalThis.addEventListener?.("online", this.#online);
    this.#connect();
  }

  /** How the connection stands. */
  get status() {
    return this.#status;
  }

  /** The number of the newest notification that was handled; 0 before the first. */
  get lastSeq() {
    return this.#lastSeq;
  }

  /** Disconnect for good. */
  close() {
    if (this.#status !== "closed") this.#end(1000);
  }

  #connect() {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    const { url, WebSocket } = this.#options;
    const socket = new WebSocket(url);
    socket.onopen = () => this.#register(socket);
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code }) => this.#lost(code);
    this.#socket = socket;
    this.#expectAnswer();
    this.#report("connecting");
  }

  async #register(socket) {
    const { userId, token: source } = this.#options;
    let token = source;
    try {
      if (typeof source === "function") token = await source();
    } catch (error) {
      if (socket !== this.#socket) return;
      this.#emit("error", { type: "error", message: `No token: ${error}`, code: "token" });
      return this.#lost(1006);
    }
    if (socket !== this.#socket) return; // lost meanwhile, and another one is on its way
    if (typeof source === "function" && !token) return this.#end(UNAUTHORIZED);
    this.#send({ type: "register", userId, token, lastSeq: this.#lastSeq, epoch: this.#epoch });
  }

  #receive(text) {
    const frame = JSON.parse(text);
    if (this.#status === "registered") clearTimeout(this.#deadline); // whatever it says, the connection lives
    if (frame.type === "registration_success") this.#registered(frame);
    else if (frame.type === "pong") this.#losses = 0;
    else if (frame.type === "error") this.#refused(frame);
    else this.#notified(frame);
  }

  /** A client that did more than it may comes back after the time that the service names. */
  #refused(frame) {
    if (frame.retryAfter > 0) this.#pause = frame.retryAfter * 1000;
    this.#emit("error", frame);
  }

  #registered({ lastSeq, resumed, epoch }) {
    clearTimeout(this.#deadline);
    this.#pinging = setInterval(() => this.#ping(), PING_EVERY);
    this.#report("registered");
    if (!resumed) this.#emit("reset", { lastSeq });
    this.#remember(resumed ? this.#lastSeq : lastSeq, epoch);
  }

  /** Remember a notification after its listeners ran: if the page dies meanwhile, it comes again. */
  #notified(frame) {
    if (frame.seq <= this.#lastSeq) return;
    this.#emit(frame.type, frame);
    if (Number.isSafeInteger(frame.seq)) this.#remember(frame.seq);
  }

  #ping() {
    this.#send({ type: "ping" });
    this.#expectAnswer();
  }

  #expectAnswer() {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#lost(1006), ANSWER_WITHIN);
  }

  /**
   * Try again after a random time below a bound that doubles: many clients do not come back all at once. A server
   * that goes away is no loss to count, nor is a token that has expired.
   */
  #lost(code) {
    const isExpired = code === UNAUTHORIZED && this.#status === "registered";
    const canRenew = isExpired && typeof this.#options.token === "function";
    if (code === REPLACED || (code === UNAUTHORIZED && !canRenew)) return this.#end(code);
    this.#hangUp();
    const isPlanned = code === GOING_AWAY || canRenew;
    const bound = isPlanned ? FIRST_DELAY : FIRST_DELAY * 2 ** this.#losses;
    const retryIn = this.#pause + Math.random() * Math.min(LONGEST_DELAY, bound);
    this.#pause = 0;
    if (!isPlanned) this.#losses += 1;
    this.#retry = setTimeout(() => this.#connect(), retryIn);
    this.#report("disconnected", { code, retryIn });
  }

  /** The network is back: connect now, or see whether the connection outlived the change. */
  #online = () => {
    if (this.#retry !== undefined) this.#connect();
    else if (this.#status === "registered") this.#ping();
  };

  #end(code) {
    this.#hangUp();
    clearTimeout(this.#retry);
    globalThis.removeEventListener?.("online", this.#online);
    this.#report("closed", { code });
  }

  /** Let the connection go without waiting for its end: a browser waits long for that of a dead one. */
  #hangUp() {
    clearInterval(this.#pinging);
    clearTimeout(this.#deadline);
    const socket = this.#socket;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(1000);
    this.#socket = null;
  }

  #send(frame) {
    this.#socket?.send(JSON.stringify(frame));
  }

  #report(status, more = {}) {
    this.#status = status;
    this.#emit("status", { status, ...more });
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #restore() {
    const { seq, epoch } = read(this.#options.storage?.getItem(this.#storageKey));
    this.#lastSeq = Number.isSafeInteger(seq) && seq > 0 ? seq : 0;
    this.#epoch = typeof epoch === "string" ? epoch : undefined;
  }

  /** Both in one item: a number beside another epoch would be taken for another notification's. */
  #remember(seq, epoch = this.#epoch) {
    this.#lastSeq = seq;
    this.#epoch = epoch;
    try {
      this.#options.storage?.setItem(this.#storageKey, JSON.stringify({ seq, epoch }));
    } catch {
      // A full storage costs a repetition after the next start, and is no reason to stop.
    }
  }
}

/** Return what was stored; versions before stored the number alone. */
function read(text) {
  try {
    const stored = JSON.parse(text ?? "0");
    return typeof stored === "number" ? { seq: stored } : (stored ?? {});
  } catch {
    return {};
  }
}
