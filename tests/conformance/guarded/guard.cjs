// Loaded first by Node (`--require`): it reaches few places only, and any other dial is written down.
// DIALS_ALLOWED names them as host:port with commas between; DIALS_FILE is where the others are written.
"use strict";

const fs = require("node:fs");
const net = require("node:net");

const allowed = (process.env.DIALS_ALLOWED ?? "").split(",");
const connect = net.Socket.prototype.connect;

net.Socket.prototype.connect = function (...words) {
  const given = Array.isArray(words[0]) ? words[0][0] : words[0]; // net.connect passes what it was given in a list
  const place = typeof given === "object" ? `${given.host}:${given.port}` : String(given);
  if (given?.path === undefined && !allowed.includes(place)) {
    fs.appendFileSync(process.env.DIALS_FILE, `${place}\n`);
    this.destroy(new Error(`Network is unreachable: ${place}`));
    return this;
  }
  return connect.apply(this, words);
};
