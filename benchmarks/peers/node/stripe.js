// Stripe's signature on a webhook, and the request for a Checkout Session.

import { createHash, createHmac, timingSafeEqual } from "node:crypto";

const { STRIPE_API_BASE, STRIPE_SECRET_KEY = "sk_test_peer", WEBHOOK_SECRET } = process.env;
const TOLERANCE_SECONDS = 300;

// Compare in constant time, whatever the lengths.
export function isSame(given, expected) {
  const digest = (text) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}

// Check `t=…,v1=…`; while a secret is being changed there are several v1.
export function isSigned(body, header = "") {
  const parts = header.split(",").map((part) => part.split("="));
  const at = parts.find(([key]) => key === "t")?.[1] ?? "";
  if (!/^\d+$/.test(at) || Math.abs(Date.now() / 1000 - Number(at)) > TOLERANCE_SECONDS) return false;
  const expected = createHmac("sha256", WEBHOOK_SECRET).update(`${at}.${body}`).digest();
  return parts.some(([key, value]) => {
    const given = key === "v1" ? Buffer.from(value ?? "", "hex") : Buffer.alloc(0);
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
}

// Return the Checkout Session that Stripe made of the form's fields.
export async function createSession(form, idempotencyKey) {
  const response = await fetch(`${STRIPE_API_BASE}/v1/checkout/sessions`, {
    method: "POST",
    headers: { Authorization: `Bearer ${STRIPE_SECRET_KEY}`, "Idempotency-Key": idempotencyKey },
    body: new URLSearchParams(form),
  });
  if (!response.ok) throw new Error(`Stripe answered ${response.status}.`);
  return response.json();
}
