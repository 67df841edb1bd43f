// The vault: a person's entries, encrypted with AES-256-GCM under a random key. That key is kept beside them, wrapped once for each
// way to open: by a key made of the passphrase (PBKDF2-HMAC-SHA-256), or by one that a passkey gives (WebAuthn's PRF extension).
// The server gets the result and nothing else.
const rounds = 1000000;
const encoder = new TextEncoder();
const context = (what) => encoder.encode("latch vault v1: " + what);

export const toText = (buffer) => btoa(Array.from(new Uint8Array(buffer), (b) => String.fromCharCode(b)).join(""));
export const toBytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const random = (n) => crypto.getRandomValues(new Uint8Array(n));

async function seal(key, plain, what) {
  const iv = random(12);
  return { iv: toText(iv), data: toText(await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData: context(what) }, key, plain)) };
}

const unseal = (key, sealed, what) =>
  crypto.subtle.decrypt({ name: "AES-GCM", iv: toBytes(sealed.iv), additionalData: context(what) }, key, toBytes(sealed.data));

async function fromPassphrase(passphrase, salt, iterations) {
  const base = await crypto.subtle.importKey("raw", encoder.encode(passphrase.normalize("NFKC")), "PBKDF2", false, ["deriveKey"]);
  return crypto.subtle.deriveKey({ name: "PBKDF2", hash: "SHA-256", salt, iterations }, base, { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
}

// fromPasskey asks for a passkey and returns its key and id; allowed limits which. Without PRF in the answer it is null.
async function fromPasskey(salt, allowed) {
  const allowCredentials = allowed.map((id) => ({ type: "public-key", id: toBytes(id) }));
  const found = await navigator.credentials.get({ publicKey: { challenge: random(32), allowCredentials, userVerification: "required", extensions: { prf: { eval: { first: salt } } } } });
  const secret = found.getClientExtensionResults().prf?.results?.first;
  if (!secret) return null;
  const base = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveKey"]);
  const key = await crypto.subtle.deriveKey({ name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info: context("passkey") }, base, { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
  return { key, id: toText(found.rawId) };
}

// Vault is an open vault. Its changes are functions of the entries, so that one can be made again when another browser was faster.
export class Vault {
  #raw; #key; #slots; #version; #last = Promise.resolve();
  entries = [];

  // fetchSealed returns what the server has: {version, vault}, vault null where there is none.
  static async fetchSealed() {
    const answer = await fetch("/codes/vault");
    if (!answer.ok) throw new Error("vault: " + answer.status);
    return answer.json();
  }

  // create makes an empty vault that a passphrase opens.
  static async create(passphrase) {
    const v = new Vault();
    await v.#take(random(32));
    v.#version = 0;
    v.#slots = [await v.#passphraseSlot(passphrase)];
    await v.#push();
    return v;
  }

  // open opens what fetchSealed returned by a passphrase; null when it is the wrong one.
  static async open(sealed, passphrase) {
    const slot = sealed.vault.slots.find((s) => s.kind === "passphrase");
    const key = await fromPassphrase(passphrase, toBytes(slot.salt), slot.rounds);
    return Vault.#by(sealed, slot, key);
  }

  // openByPasskey is like open, by a passkey; null when it opens nothing here.
  static async openByPasskey(sealed) {
    const slots = sealed.vault.slots.filter((s) => s.kind === "passkey");
    const found = await fromPasskey(toBytes(slots[0].salt), slots.map((s) => s.id));
    const slot = found && slots.find((s) => s.id === found.id);
    return slot ? Vault.#by(sealed, slot, found.key) : null;
  }

  static async #by(sealed, slot, key) {
    const v = new Vault();
    try {
      await v.#take(await unseal(key, slot, "key"));
    } catch {
      return null;
    }
    await v.#read(sealed);
    return v;
  }

  get hasPasskey() { return this.#slots.some((s) => s.kind === "passkey"); }

  async #take(raw) {
    this.#raw = raw;
    this.#key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]);
  }

  async #read({ version, vault }) {
    this.entries = JSON.parse(new TextDecoder().decode(await unseal(this.#key, vault, "entries"))).entries;
    this.#slots = vault.slots;
    this.#version = version;
  }

  async #passphraseSlot(passphrase) {
    const salt = random(16);
    const key = await fromPassphrase(passphrase, salt, rounds);
    return { kind: "passphrase", salt: toText(salt), rounds, ...(await seal(key, this.#raw, "key")) };
  }

  // #inTurn runs one change after the other: each is made of what the one before kept.
  #inTurn(run) {
    const turn = this.#last.then(run);
    this.#last = turn.catch(() => {});
    return turn;
  }

  // change makes a change to the entries and keeps it.
  change(edit) { return this.#inTurn(() => this.#change(edit)); }

  async #change(edit) {
    for (let tries = 0; ; tries++) {
      const before = this.entries;
      this.entries = edit(structuredClone(before));
      try {
        if (await this.#push()) return;
      } catch (error) {
        this.entries = before;
        throw error;
      }
      if (tries > 5) throw new Error("vault: others change it all the time");
      await this.#read(await Vault.fetchSealed());
    }
  }

  // setPassphrase replaces the passphrase.
  async setPassphrase(passphrase) {
    const slot = await this.#passphraseSlot(passphrase);
    await this.#inTurn(() => this.#reslot((slots) => [slot, ...slots.filter((s) => s.kind !== "passphrase")]));
  }

  // addPasskey lets a passkey open the vault; false when it, or this browser, cannot.
  async addPasskey() {
    const salt = toBytes(this.#slots.find((s) => s.kind === "passkey")?.salt ?? toText(random(32)));
    const found = await fromPasskey(salt, []);
    if (!found) return false;
    const slot = { kind: "passkey", id: found.id, salt: toText(salt), ...(await seal(found.key, this.#raw, "key")) };
    await this.#inTurn(() => this.#reslot((slots) => [...slots.filter((s) => s.id !== found.id), slot]));
    return true;
  }

  async #reslot(edit) {
    for (;;) {
      this.#slots = edit(this.#slots);
      if (await this.#push()) return;
      await this.#read(await Vault.fetchSealed());
    }
  }

  // #push sends the vault as it is; false when another browser was faster.
  async #push() {
    const vault = { v: 1, slots: this.#slots, ...(await seal(this.#key, encoder.encode(JSON.stringify({ entries: this.entries })), "entries")) };
    const answer = await fetch("/codes/vault", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ version: this.#version, vault }) });
    if (answer.status === 409) return false;
    const said = answer.headers.get("Content-Type")?.includes("json") ? await answer.json() : {};
    if (!answer.ok) throw Object.assign(new Error("vault: " + answer.status), said);
    this.#version = said.version;
    return true;
  }
}
