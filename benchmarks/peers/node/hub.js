// The sockets of this process, and the one connection on which it hears what is for their users.

import { Redis } from "ioredis";
import jwt from "jsonwebtoken";
import { WebSocketServer } from "ws";

const { TOKEN_SECRET } = process.env;
const PING_MILLISECONDS = 30_000;

// Redis has a channel for each user; the process subscribes to it with the user's first socket.
const channelOf = (userId) => `user:${userId}`;

export class Hub {
  #server = new WebSocketServer({ noServer: true, clientTracking: true });
  #users = new Map(); // channel → { sockets, subscribed }, the latter a promise
  #publisher;
  #subscriber;
  #heartbeat = setInterval(() => this.#ping(), PING_MILLISECONDS);

  constructor(redisUrl) {
    this.#publisher = new Redis(redisUrl);
    this.#subscriber = new Redis(redisUrl);
    this.#subscriber.on("message", (channel, frame) => {
      for (const socket of this.#users.get(channel)?.sockets ?? []) socket.send(frame);
    });
  }

  // Hand a frame to the user's sockets in all processes.
  async publish({ userId, frame }) {
    await this.#publisher.publish(channelOf(userId), frame);
  }

  accept(request, socket, head) {
    this.#server.handleUpgrade(request, socket, head, (accepted) => this.#serve(accepted));
  }

  close() {
    clearInterval(this.#heartbeat);
    for (const socket of this.#server.clients) socket.terminate();
    this.#publisher.disconnect();
    this.#subscriber.disconnect();
  }

  #serve(socket) {
    socket.isAlive = true;
    socket.on("pong", () => (socket.isAlive = true));
    socket.on("error", () => socket.terminate());
    socket.on("close", () => this.#remove(socket));
    socket.on("message", (data) => this.#receive(socket, data).catch(() => socket.terminate()));
  }

  async #receive(socket, data) {
    const { type, userId, token } = JSON.parse(data);
    if (type !== "register" || socket.channel) return;
    const { sub, exp } = jwt.verify(token, TOKEN_SECRET, { algorithms: ["HS256"] });
    if (sub !== userId || !exp) throw new Error("The token is another user's, or has no end.");
    await this.#add(socket, channelOf(userId));
    const message = "Successfully registered for payment notifications";
    socket.send(JSON.stringify({ type: "registration_success", message, userId }));
  }

  async #add(socket, channel) {
    socket.channel = channel;
    let user = this.#users.get(channel);
    if (!user) {
      user = { sockets: new Set(), subscribed: this.#subscriber.subscribe(channel) };
      this.#users.set(channel, user);
    }
    user.sockets.add(socket);
    await user.subscribed; // from here on it gets every frame
  }

  #remove(socket) {
    const user = this.#users.get(socket.channel);
    if (!user) return;
    user.sockets.delete(socket);
    if (user.sockets.size > 0) return;
    this.#users.delete(socket.channel);
    this.#subscriber.unsubscribe(socket.channel).catch(() => {}); // a new connection subscribes to what is left
  }

  #ping() {
    for (const socket of this.#server.clients) {
      if (!socket.isAlive) {
        socket.terminate();
        continue;
      }
      socket.isAlive = false;
      socket.ping();
    }
  }
}
