// What happens to a payment, each in one transaction.

import { randomUUID } from "node:crypto";

import { createSession } from "./stripe.js";

// A named statement is parsed once per connection.
const NEW_EVENT = {
  name: "new-event",
  text: "INSERT INTO events (id, type, body) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
};
const SUCCEED = {
  name: "succeed",
  text: `UPDATE payments SET status = 'succeeded', updated_at = now() WHERE id = $1
    RETURNING ride_id, user_id, session_id`,
};
const NOTIFY = { name: "notify", text: "INSERT INTO notifications (user_id, frame) VALUES ($1, $2)" };
const NEW_PAYMENT = {
  name: "new-payment",
  text: `INSERT INTO payments (id, ride_id, user_id, amount, currency, status)
    VALUES ($1, $2, $3, $4, $5, 'pending') RETURNING created_at`,
};
const SAVE_SESSION = {
  name: "save-session",
  text: "UPDATE payments SET session_id = $2, url = $3, updated_at = now() WHERE id = $1",
};

const run = (client, statement, ...values) => client.query({ ...statement, values });

async function inTransaction(pool, work) {
  const client = await pool.connect();
  let broken;
  try {
    await client.query("BEGIN");
    const result = await work(client);
    await client.query("COMMIT");
    return result;
  } catch (error) {
    await client.query("ROLLBACK").catch((failure) => (broken = failure));
    throw error;
  } finally {
    client.release(broken);
  }
}

// Store a new event and what it says of a payment; return what its user is to be sent.
export function takeEvent(pool, body) {
  const event = JSON.parse(body);
  return inTransaction(pool, async (client) => {
    const { rowCount: isNew } = await run(client, NEW_EVENT, event.id, event.type, body);
    if (!isNew || event.type !== "checkout.session.completed") return null;
    const { rows } = await run(client, SUCCEED, event.data.object.client_reference_id);
    if (rows.length === 0) return null;
    const { ride_id: rideId, user_id: userId, session_id: stripeSessionId } = rows[0];
    const frame = JSON.stringify({ type: "payment_status_update", rideId, status: "succeeded", stripeSessionId });
    await run(client, NOTIFY, userId, frame);
    return { userId, frame };
  });
}

// Commit the payment, ask Stripe for its session, then save that and return the link for the user.
export async function createPayment(pool, order) {
  const { rideId, userId, amount } = order;
  const id = randomUUID();
  const currency = order.currency.toLowerCase();
  const { rows } = await run(pool, NEW_PAYMENT, id, rideId, userId, amount, currency);
  const session = await createSession(formOf(id, order), `payment-${id}`);
  const paymentUrl = session.url;
  const frame = JSON.stringify({ type: "payment_url", rideId, paymentUrl, status: "pending" });
  await inTransaction(pool, async (client) => {
    await run(client, SAVE_SESSION, id, session.id, paymentUrl);
    await run(client, NOTIFY, userId, frame);
  });
  const createdAt = rows[0].created_at;
  const payment = { id, rideId, userId, amount, currency, status: "pending", paymentUrl };
  return { payment: { ...payment, stripeSessionId: session.id, createdAt }, pushed: { userId, frame } };
}

function formOf(id, order) {
  const price = "line_items[0][price_data]";
  return {
    mode: "payment",
    client_reference_id: id,
    "line_items[0][quantity]": 1,
    [`${price}[currency]`]: order.currency.toLowerCase(),
    [`${price}[unit_amount]`]: order.amount,
    [`${price}[product_data][name]`]: order.description || `Ride ${order.rideId}`,
    "metadata[payment_id]": id,
    "metadata[ride_id]": order.rideId,
    "payment_intent_data[metadata][payment_id]": id,
    "payment_intent_data[metadata][ride_id]": order.rideId,
    success_url: order.successUrl,
    cancel_url: order.cancelUrl,
  };
}

export class InvalidOrder extends Error {}

const isText = (value, { from, to }) => typeof value === "string" && value.length >= from && value.length <= to;

// What a body may have, each in camelCase or snake_case.
const FIELDS = {
  rideId: (value) => isText(value, { from: 1, to: 128 }),
  userId: (value) => isText(value, { from: 1, to: 128 }),
  amount: (value) => Number.isInteger(value) && value > 0 && value <= 99_999_999,
  currency: (value) => typeof value === "string" && /^[A-Za-z]{3}$/.test(value),
  description: (value) => isText(value, { from: 0, to: 250 }),
  successUrl: (value) => isText(value, { from: 1, to: 2048 }),
  cancelUrl: (value) => isText(value, { from: 1, to: 2048 }),
};
const DEFAULTS = {
  description: "",
  successUrl: "https://example.com/success",
  cancelUrl: "https://example.com/cancel",
};

const camelCase = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());

// Return the order that a request's body asks for. Throws InvalidOrder.
export function readOrder(body) {
  let given;
  try {
    given = Object.entries(JSON.parse(body));
  } catch {
    throw new InvalidOrder("Send JSON.");
  }
  const order = { ...DEFAULTS, ...Object.fromEntries(given.map(([name, value]) => [camelCase(name), value])) };
  const unknown = Object.keys(order).filter((name) => !Object.hasOwn(FIELDS, name));
  if (unknown.length > 0) throw new InvalidOrder(`Unknown: ${unknown.join(", ")}.`);
  const invalid = Object.keys(FIELDS).filter((name) => !FIELDS[name](order[name]));
  if (invalid.length > 0) throw new InvalidOrder(`Invalid: ${invalid.join(", ")}.`);
  return order;
}
