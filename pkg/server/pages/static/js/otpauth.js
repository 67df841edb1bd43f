// One-time passwords of other services: otpauth:// addresses (Google's key URI format) and the codes of RFC 4226 and RFC 6238.
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const hashes = { SHA1: "SHA-1", SHA256: "SHA-256", SHA512: "SHA-512" };

// fromBase32 returns the bytes of a seed, null for what is none.
export function fromBase32(text) {
  const clean = text.toUpperCase().replaceAll(/[\s=-]/g, "");
  const out = [];
  let buffer = 0, bits = 0;
  for (const c of clean) {
    const value = alphabet.indexOf(c);
    if (value < 0) return null;
    buffer = (buffer << 5) | value;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      out.push((buffer >>> bits) & 255);
      buffer &= (1 << bits) - 1;
    }
  }
  return out.length ? Uint8Array.from(out) : null;
}

// parse reads an otpauth address, or a bare seed, into an entry; null for what is neither or what no app could show.
export function parse(text) {
  text = text.trim();
  if (!/^otpauth:/i.test(text)) return check({ type: "totp", issuer: "", account: "", secret: text });
  let url;
  try {
    url = new URL(text);
  } catch {
    return null;
  }
  // Browsers differ in what they take for the host of an unknown scheme.
  const [, type, path] = /^otpauth:\/\/([^/?]+)\/?([^?]*)/i.exec(text) || [];
  const get = (name) => url.searchParams.get(name);
  let label = "";
  try {
    label = decodeURIComponent(path || "");
  } catch {
    return null;
  }
  const colon = label.indexOf(":");
  return check({
    type: (type || "").toLowerCase(), issuer: get("issuer") || (colon > 0 ? label.slice(0, colon) : ""), account: label.slice(colon + 1).trim(),
    secret: get("secret") || "", algorithm: get("algorithm"), digits: get("digits"), period: get("period"), counter: get("counter"),
  });
}

// check fills in what is usual and refuses what cannot be.
function check(e) {
  const whole = (value, usual, least, most) => {
    const n = value === null || value === undefined || value === "" ? usual : Number(value);
    return Number.isInteger(n) && n >= least && n <= most ? n : null;
  };
  const algorithm = (e.algorithm || "SHA1").toUpperCase().replace("-", "");
  const digits = whole(e.digits, 6, 6, 8), period = whole(e.period, 30, 5, 300), counter = whole(e.counter, 0, 0, Number.MAX_SAFE_INTEGER);
  if (!["totp", "hotp"].includes(e.type) || !hashes[algorithm] || !fromBase32(e.secret) || digits === null || period === null || counter === null) return null;
  const clip = (s) => s.replaceAll(/\p{Cc}/gu, "").trim().slice(0, 120);
  return { type: e.type, issuer: clip(e.issuer), account: clip(e.account), secret: e.secret.toUpperCase().replaceAll(/[\s=-]/g, ""), algorithm, digits, period, counter };
}

// format writes an entry as an otpauth address that other apps read.
export function format(e) {
  const label = (e.issuer ? encodeURIComponent(e.issuer) + ":" : "") + encodeURIComponent(e.account);
  const more = { secret: e.secret, ...(e.issuer && { issuer: e.issuer }), algorithm: e.algorithm, digits: e.digits, ...(e.type === "hotp" ? { counter: e.counter } : { period: e.period }) };
  return `otpauth://${e.type}/${label}?` + Object.entries(more).map(([k, v]) => `${k}=${encodeURIComponent(v)}`).join("&");
}

// code computes an entry's code: of an instant (milliseconds since 1970) for totp, of its counter for hotp.
export async function code(e, at) {
  const step = e.type === "hotp" ? e.counter : Math.floor(at / 1000 / e.period);
  const message = new DataView(new ArrayBuffer(8));
  message.setUint32(0, Math.floor(step / 2 ** 32));
  message.setUint32(4, step % 2 ** 32);
  const key = await crypto.subtle.importKey("raw", fromBase32(e.secret), { name: "HMAC", hash: hashes[e.algorithm] }, false, ["sign"]);
  const mac = new DataView(await crypto.subtle.sign("HMAC", key, message));
  const offset = mac.getUint8(mac.byteLength - 1) & 15;
  return String((mac.getUint32(offset) & 0x7fffffff) % 10 ** e.digits).padStart(e.digits, "0");
}
