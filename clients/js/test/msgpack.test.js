import assert from "node:assert/strict";
import { test } from "node:test";

import { msgpack } from "../src/msgpack.js";

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const round = (value) => msgpack.decode(msgpack.encode(value).buffer);

test("values are told as the specification has them", () => {
  const known = [
    [null, "c0"], [false, "c2"], [true, "c3"], [0, "00"], [127, "7f"], [128, "cc80"], [255, "ccff"], [256, "cd0100"],
    [65535, "cdffff"], [65536, "ce00010000"], [4294967296, "cf0000000100000000"], [-1, "ff"], [-32, "e0"],
    [-33, "d0df"], [-128, "d080"], [-129, "d1ff7f"], [-32769, "d2ffff7fff"], [-2147483649, "d3ffffffff7fffffff"],
    [1.5, "cb3ff8000000000000"], [-0, "cb8000000000000000"], ["", "a0"], ["é", "a2c3a9"], [[], "90"],
    [{ a: 1 }, "81a16101"], [new Uint8Array([1, 2]), "c4020102"], [18446744073709551615n, "cfffffffffffffffff"],
  ];
  for (const [value, bytes] of known) assert.equal(hex(msgpack.encode(value)), bytes, String(value));
});

test("what is told is read back", () => {
  const integers = [31, 32, 2 ** 31, 2 ** 32 - 1, 2 ** 53 - 1, -(2 ** 53) + 1, -(2n ** 63n), 2n ** 64n - 1n];
  const texts = [15, 16, 31, 32, 255, 256, 65_535, 65_536].map((length) => "x".repeat(length));
  const lists = [15, 16, 65_535, 65_536].map((length) => Array.from({ length }, (_, n) => n));
  const binary = [0, 255, 256, 65_536].map((length) => new Uint8Array(length).fill(7));
  const map = Object.fromEntries(lists[1].concat(lists[0]).map((n) => [`key ${n}`, { n: [n, null, 0.1] }]));
  const odd = JSON.parse('{"__proto__": 1, "": "\\ufeff😀"}');
  for (const value of [integers, texts, lists, binary, map, odd]) assert.deepEqual(round(value), value);
  assert.equal(msgpack.decode(new Uint8Array([0xca, 0x3f, 0xc0, 0, 0]).buffer), 1.5);
});

test("as in JSON, undefined is left out and dates are texts", () => {
  assert.deepEqual(round({ a: undefined, b: new Date(0) }), { b: "1970-01-01T00:00:00.000Z" });
});

test("what cannot be told, and what is cut off, is an error", () => {
  assert.throws(() => msgpack.encode(2n ** 64n), RangeError);
  assert.throws(() => msgpack.encode(() => {}), TypeError);
  for (const bytes of [[], [0xc1], [0xd4, 1, 2], [0xcd, 1], [0x92, 1], [0xa1, 0xff]]) {
    assert.throws(() => msgpack.decode(new Uint8Array(bytes).buffer), hex(bytes));
  }
  assert.throws(() => msgpack.decode(new Uint8Array([0xa5, 0x61]).buffer), "a text that is cut off");
});
