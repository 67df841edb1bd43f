// The page of codes: opens the vault, shows the codes of now, takes new entries in and gives all of them out.
import { code, format, parse } from "./otpauth.js";
import { Vault } from "./vault.js";

export default async function codes(root) {
  const at = (name) => root.querySelector(`[data-part="${name}"]`);
  const show = (name) => { for (const part of root.querySelectorAll("[data-part]")) part.hidden = part.dataset.part !== name; };
  const say = (key) => {
    const note = root.querySelector("[data-say]");
    note.textContent = key && (root.dataset[key] || key);
    note.hidden = !key;
  };
  let vault, sealed;

  // does runs what a button or a form is for, once at a time, and says what went wrong.
  const does = (element, event, run) => element.addEventListener(event, async (e) => {
    e.preventDefault();
    say("");
    const button = event === "submit" ? element.querySelector("button") : element;
    button.disabled = true;
    try {
      await run(element);
    } catch (error) {
      console.info(error);
      say(error.problem || "failed");
    } finally {
      button.disabled = false;
    }
  });

  function enter(opened, wrong) {
    if (!opened) return say(wrong);
    vault = opened;
    at("open").querySelector("[data-addkey]").hidden = !window.PublicKeyCredential || vault.hasPasskey;
    show("open");
    list();
  }

  does(at("new"), "submit", async (form) => {
    const { passphrase, again } = form.elements;
    if (passphrase.value.length < 10) return say("short");
    if (passphrase.value !== again.value) return say("differ");
    enter(await Vault.create(passphrase.value));
  });
  does(at("locked").querySelector("form"), "submit", async (form) => {
    const opened = await Vault.open(sealed, form.elements.passphrase.value);
    form.reset();
    enter(opened, "wrong");
  });
  does(at("locked").querySelector("[data-bykey]"), "click", async () => enter(await Vault.openByPasskey(sealed), "nokey"));

  const open = at("open"), rows = open.querySelector("[data-rows]"), search = open.querySelector("[type=search]");
  does(open.querySelector("[data-add]"), "submit", async (form) => {
    const { name, account, secret } = form.elements;
    const entry = parse(secret.value);
    if (!entry) return say("noseed");
    entry.issuer = name.value.trim() || entry.issuer;
    entry.account = account.value.trim() || entry.account;
    if (!entry.issuer && !entry.account) return say("noname");
    await add([entry]);
    form.reset();
  });
  does(open.querySelector("[data-import]"), "submit", async (form) => {
    const file = form.elements.file.files[0];
    const lines = (form.elements.lines.value + "\n" + (file ? await file.text() : "")).split(/\r?\n/).filter((l) => l.trim());
    const entries = lines.map((l) => (/^\s*otpauth:/i.test(l) ? parse(l) : null)).filter(Boolean);
    if (!entries.length || entries.length < lines.length) return say("badlines");
    await add(entries);
    form.reset();
  });
  does(open.querySelector("[data-export]"), "click", () => {
    const out = open.querySelector("[data-exported]");
    out.value = vault.entries.map(format).join("\n");
    out.closest("[hidden]")?.removeAttribute("hidden");
    out.focus();
  });
  does(open.querySelector("[data-addkey]"), "click", async (button) => {
    const added = await vault.addPasskey();
    button.hidden = added;
    say(added ? "keyadded" : "nokey");
  });
  does(open.querySelector("[data-change]"), "submit", async (form) => {
    const { passphrase, again } = form.elements;
    if (passphrase.value.length < 10) return say("short");
    if (passphrase.value !== again.value) return say("differ");
    await vault.setPassphrase(passphrase.value);
    form.reset();
    say("changed");
  });
  does(open.querySelector("[data-lock]"), "click", () => location.reload());
  search.addEventListener("input", list);
  scanner(open, async (text) => {
    const entry = parse(text);
    if (!entry || !/^otpauth:/i.test(text)) return say("noseed");
    await add([entry]);
  }, say);

  // add takes entries in; one that is there already stays as it is.
  async function add(entries) {
    await vault.change((all) => {
      for (const e of entries) {
        if (!all.some((a) => a.secret === e.secret && a.type === e.type)) all.push({ ...e, id: crypto.randomUUID() });
      }
      return all.sort((a, b) => (a.issuer + a.account).localeCompare(b.issuer + b.account));
    });
    list();
    say("added");
  }

  function list() {
    const wanted = search.value.trim().toLowerCase();
    const shown = vault.entries.filter((e) => (e.issuer + " " + e.account).toLowerCase().includes(wanted));
    // Rows that stay are left alone: one of them may have the focus.
    const there = new Map(Array.from(rows.children, (item) => [item.entry.id, item]));
    const items = shown.map((e) => Object.assign(there.get(e.id) ?? row(e), { entry: e }));
    if (items.length !== rows.children.length || items.some((item, i) => item !== rows.children[i])) rows.replaceChildren(...items);
    open.querySelector("[data-empty]").hidden = shown.length > 0;
    tick();
  }

  function row(entry) {
    const item = root.querySelector("template").content.firstElementChild.cloneNode(true);
    item.querySelector("[data-issuer]").textContent = entry.issuer || entry.account;
    item.querySelector("[data-account]").textContent = entry.issuer ? entry.account : "";
    const name = [entry.issuer, entry.account].filter(Boolean).join(", ");
    for (const button of item.querySelectorAll("button")) button.setAttribute("aria-label", `${button.textContent.trim()}: ${name}`);
    does(item.querySelector("[data-copy]"), "click", async () => {
      await navigator.clipboard.writeText(item.querySelector("output").textContent.replaceAll(" ", ""));
      say("copied");
    });
    const next = item.querySelector("[data-next]");
    next.hidden = entry.type !== "hotp";
    does(next, "click", async () => {
      await vault.change((all) => all.map((a) => (a.id === entry.id ? { ...a, counter: a.counter + 1 } : a)));
      list();
    });
    const remove = item.querySelector("[data-remove]"), sure = item.querySelector("[data-sure]");
    remove.addEventListener("click", () => { sure.hidden = false; sure.focus(); remove.hidden = true; });
    does(sure, "click", async () => {
      await vault.change((all) => all.filter((a) => a.id !== entry.id));
      list();
      search.focus();
    });
    return item;
  }

  // tick shows the codes of this moment and how long each lasts.
  async function tick() {
    const now = Date.now();
    for (const item of rows.children) {
      const { entry } = item;
      const text = await code(entry, now);
      const half = Math.ceil(text.length / 2), shown = text.slice(0, half) + " " + text.slice(half);
      const out = item.querySelector("output");
      if (out.textContent !== shown) out.textContent = shown;
      const left = item.querySelector("meter");
      left.hidden = entry.type === "hotp";
      left.max = entry.period;
      left.value = entry.period - Math.floor(now / 1000) % entry.period;
    }
  }
  setInterval(() => vault && tick(), 1000);

  sealed = await Vault.fetchSealed();
  at("locked").querySelector("[data-bykey]").hidden = !window.PublicKeyCredential || !sealed.vault?.slots.some((s) => s.kind === "passkey");
  root.querySelector("[data-loading]").hidden = true;
  show(sealed.vault ? "locked" : "new");
}

// scanner reads QR codes by the camera, where the browser can; elsewhere its note stays.
async function scanner(open, found, say) {
  const part = open.querySelector("[data-scan]"), none = open.querySelector("[data-noscan]");
  const kinds = "BarcodeDetector" in window && navigator.mediaDevices ? await BarcodeDetector.getSupportedFormats().catch(() => []) : [];
  if (!kinds.includes("qr_code")) { none.hidden = false; return; }
  part.hidden = false;
  const button = part.querySelector("button"), video = part.querySelector("video");
  const detector = new BarcodeDetector({ formats: ["qr_code"] });
  button.addEventListener("click", async () => {
    say("");
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch {
      return say("nocamera");
    }
    video.srcObject = stream;
    video.hidden = false;
    button.hidden = true;
    await video.play();
    for (const end = Date.now() + 60000; Date.now() < end; await new Promise(requestAnimationFrame)) {
      const [seen] = await detector.detect(video).catch(() => []);
      if (seen) { await found(seen.rawValue); break; }
    }
    for (const track of stream.getTracks()) track.stop();
    video.hidden = true;
    button.hidden = false;
    button.focus();
  });
}
