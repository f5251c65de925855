/**
 * MessagePack in place of JSON: `connect({codec: msgpack})`. Bodies may hold `Uint8Array` then.
 *
 * What the gateway takes (docs/protocol.md, "Frames"): null, booleans, strings, arrays, objects, finite numbers,
 * integers of up to 64 bits, and binary values. Integers beyond 2^53 are `bigint`.
 */

const utf8 = new TextEncoder();
// Bytes that are no UTF-8 would otherwise be told as other characters.
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Bytes that grow as they are written. */
class Writer {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** @param {number} more */
  #room(more) {
    const needed = this.#length + more;
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    const at = this.#length;
    this.#length = needed;
    return at;
  }

  /** @param {number} value */
  byte(value) {
    const at = this.#room(1);
    this.#bytes[at] = value;
  }

  /** @param {Uint8Array} bytes */
  bytes(bytes) {
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /**
   * A type's byte and a number behind it.
   *
   * @param {number} type
   * @param {1 | 2 | 4} size bytes
   * @param {number} value
   */
  sized(type, size, value) {
    this.byte(type);
    const at = this.#room(size);
    if (size === 1) this.#view.setUint8(at, value);
    else if (size === 2) this.#view.setUint16(at, value);
    else this.#view.setUint32(at, value);
  }

  /** @param {number} value */
  float(value) {
    this.byte(0xcb);
    const at = this.#room(8);
    this.#view.setFloat64(at, value);
  }

  /** @param {bigint} value */
  long(value) {
    if (BigInt.asIntN(64, value) !== value && BigInt.asUintN(64, value) !== value) {
      throw new RangeError("an integer has more than 64 bits");
    }
    this.byte(value < 0n ? 0xd3 : 0xcf);
    const at = this.#room(8);
    this.#view.setBigUint64(at, BigInt.asUintN(64, value));
  }

  written() {
    return this.#bytes.slice(0, this.#length);
  }
}

/**
 * The head of a string, a binary value, an array or a map.
 *
 * @param {Writer} to
 * @param {number} length
 * @param {number} fix first of the types that hold a short length themselves
 * @param {number} most longest of those; -1: there are none
 * @param {number[]} types for lengths of 1, 2 and 4 bytes; 0: there is none
 */
function head(to, length, fix, most, [one = 0, two = 0, four = 0]) {
  if (length <= most) to.byte(fix | length);
  else if (one && length < 0x100) to.sized(one, 1, length);
  else if (length < 0x10000) to.sized(two, 2, length);
  else to.sized(four, 4, length);
}

/** @param {Writer} to @param {number} value */
function number(to, value) {
  if (!Number.isSafeInteger(value) || Object.is(value, -0)) to.float(value);
  else if (value >= -32 && value < 128) to.byte(value & 0xff);
  else if (value >= 0 && value < 0x100000000) head(to, value, 0, -1, [0xcc, 0xcd, 0xce]);
  else if (value < 0 && value >= -0x80) to.sized(0xd0, 1, value);
  else if (value < 0 && value >= -0x8000) to.sized(0xd1, 2, value);
  else if (value < 0 && value >= -0x80000000) to.sized(0xd2, 4, value);
  else to.long(BigInt(value));
}

/** @param {Writer} to @param {any} value */
function write(to, value) {
  if (value === null || value === undefined) to.byte(0xc0);
  else if (typeof value === "boolean") to.byte(value ? 0xc3 : 0xc2);
  else if (typeof value === "number") number(to, value);
  else if (typeof value === "bigint") to.long(value);
  else if (typeof value === "string") {
    const bytes = utf8.encode(value);
    head(to, bytes.length, 0xa0, 31, [0xd9, 0xda, 0xdb]);
    to.bytes(bytes);
  } else if (value instanceof Uint8Array) {
    head(to, value.length, 0, -1, [0xc4, 0xc5, 0xc6]);
    to.bytes(value);
  } else if (Array.isArray(value)) {
    head(to, value.length, 0x90, 15, [0, 0xdc, 0xdd]);
    for (const item of value) write(to, item);
  } else if (typeof value.toJSON === "function") write(to, value.toJSON());
  else if (typeof value === "object") {
    // As in JSON, what is undefined is not there.
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    head(to, entries.length, 0x80, 15, [0, 0xde, 0xdf]);
    for (const [key, item] of entries) {
      write(to, key);
      write(to, item);
    }
  } else throw new TypeError(`a ${typeof value} cannot be told`);
}

/** Reads one value after the other. */
class Reader {
  #bytes;
  #view;
  #at = 0;

  /** @param {ArrayBuffer} frame */
  constructor(frame) {
    this.#bytes = new Uint8Array(frame);
    this.#view = new DataView(frame);
  }

  /** @param {number} length */
  #skip(length) {
    const at = this.#at;
    this.#at += length;
    if (this.#at > this.#bytes.length) throw new RangeError("a frame is cut off");
    return at;
  }

  /** @param {number} size 1, 2 or 4 bytes */
  #length(size) {
    const at = this.#skip(size);
    if (size === 1) return this.#view.getUint8(at);
    return size === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  /** @param {number} length */
  #text(length) {
    return strict.decode(this.#bytes.subarray(this.#at, this.#skip(length) + length));
  }

  /** @param {number} length */
  #array(length) {
    return Array.from({ length }, () => this.read());
  }

  /** @param {number} length */
  #map(length) {
    // A key may be `__proto__`.
    return Object.fromEntries(Array.from({ length }, () => [this.read(), this.read()]));
  }

  /** @param {bigint} value */
  #long(value) {
    const near = Number(value);
    return Number.isSafeInteger(near) ? near : value;
  }

  /** @returns {any} */
  read() {
    const type = this.#view.getUint8(this.#skip(1));
    if (type < 0x80) return type;
    if (type < 0x90) return this.#map(type & 15);
    if (type < 0xa0) return this.#array(type & 15);
    if (type < 0xc0) return this.#text(type & 31);
    if (type >= 0xe0) return type - 0x100;
    switch (type) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: {
        const length = this.#length(1 << (type - 0xc4));
        return this.#bytes.slice(this.#at, this.#skip(length) + length);
      }
      case 0xca: return this.#view.getFloat32(this.#skip(4));
      case 0xcb: return this.#view.getFloat64(this.#skip(8));
      case 0xcc: case 0xcd: case 0xce: return this.#length(1 << (type - 0xcc));
      case 0xcf: return this.#long(this.#view.getBigUint64(this.#skip(8)));
      case 0xd0: return this.#view.getInt8(this.#skip(1));
      case 0xd1: return this.#view.getInt16(this.#skip(2));
      case 0xd2: return this.#view.getInt32(this.#skip(4));
      case 0xd3: return this.#long(this.#view.getBigInt64(this.#skip(8)));
      case 0xd9: case 0xda: case 0xdb: return this.#text(this.#length(1 << (type - 0xd9)));
      case 0xdc: case 0xdd: return this.#array(this.#length(2 << (type - 0xdc)));
      case 0xde: case 0xdf: return this.#map(this.#length(2 << (type - 0xde)));
      default: throw new TypeError(`MessagePack type ${type} has no meaning here`);
    }
  }
}

/** @type {import("./link.js").Codec} */
export const msgpack = {
  encode(document) {
    const to = new Writer();
    write(to, document);
    return to.written();
  },
  decode: (frame) => new Reader(frame).read(),
};
