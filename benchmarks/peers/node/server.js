// One worker, on the listening socket that it inherits: the routes.

import { createServer } from "node:http";
import pg from "pg";

import { Hub } from "./hub.js";
import { InvalidOrder, createPayment, readOrder, takeEvent } from "./payments.js";
import { isSame, isSigned } from "./stripe.js";

const { API_KEY, DATABASE_URL, LISTEN_FD, REDIS_URL } = process.env;
const BODY_MAX_BYTES = 1024 * 1024;

const pool = new pg.Pool({ connectionString: DATABASE_URL });
pool.on("error", console.error); // a connection that broke while idle: the pool makes another
const hub = new Hub(REDIS_URL);

async function webhook(request) {
  const body = await readBody(request);
  if (!isSigned(body, request.headers["stripe-signature"])) return [400, { error: "The signature does not match." }];
  const pushed = await takeEvent(pool, body);
  if (pushed) await hub.publish(pushed);
  return [200];
}

async function payments(request) {
  if (!isSame(request.headers.authorization ?? "", `Bearer ${API_KEY}`)) return [401, { error: "Send the API key." }];
  const order = readOrder(await readBody(request));
  const { payment, pushed } = await createPayment(pool, order);
  await hub.publish(pushed);
  return [201, payment];
}

const ROUTES = new Map([
  ["GET /healthz", () => [200]],
  ["POST /webhooks/stripe/", webhook],
  ["POST /api/payments", payments],
]);

const server = createServer(async (request, response) => {
  const route = ROUTES.get(`${request.method} ${request.url}`);
  try {
    answer(response, ...(route ? await route(request) : [404]));
  } catch (error) {
    if (error instanceof InvalidOrder) return answer(response, 422, { error: error.message });
    console.error(error);
    answer(response, 500);
  }
});

function answer(response, status, content) {
  const body = content ? JSON.stringify(content) : "";
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) });
  response.end(body);
}

function readBody(request) {
  return new Promise((resolve, reject) => {
    const chunks = [];
    let size = 0;
    request.on("data", (chunk) => {
      size += chunk.length;
      if (size > BODY_MAX_BYTES) request.destroy(new Error("The body is too large."));
      chunks.push(chunk);
    });
    request.on("end", () => resolve(Buffer.concat(chunks).toString()));
    request.on("error", reject);
  });
}

server.on("upgrade", (request, socket, head) => {
  if (request.url.startsWith("/basic/ws")) hub.accept(request, socket, head);
  else socket.destroy();
});

process.on("SIGTERM", async () => {
  server.close();
  hub.close();
  server.closeAllConnections();
  await pool.end();
  process.exit(0);
});

server.listen({ fd: Number(LISTEN_FD) });
