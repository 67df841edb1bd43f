// The button that shows a passkey (data-passkey="show") or adds one ("add"). Without passkeys in this browser it stays hidden.
const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

export default function passkey(element) {
  if (!window.PublicKeyCredential) {
    document.querySelector("[data-nopasskeys]")?.removeAttribute("hidden");
    return;
  }
  element.hidden = false;
  const button = element.querySelector("button");
  button.addEventListener("click", async () => {
    button.disabled = true;
    say(element, "");
    try {
      await (element.dataset.passkey === "add" ? add() : show(element.dataset.next));
    } catch (error) {
      // Whoever closes the browser's window knows why nothing happened; what the server says is shown as it is.
      console.info(error);
      say(element, error.problem || element.dataset.failed);
    } finally {
      button.disabled = false;
    }
  });
}

function say(element, problem) {
  const note = element.querySelector("[data-problem]");
  note.textContent = problem;
  note.hidden = !problem;
}

async function show(next) {
  const { publicKey } = await ask("/signin/passkey/options");
  publicKey.challenge = bytes(publicKey.challenge);
  const found = await navigator.credentials.get({ publicKey });
  const { authenticatorData, clientDataJSON, signature, userHandle } = found.response;
  const { to } = await ask(`/signin/passkey?next=${encodeURIComponent(next)}`, {
    id: found.id, rawId: text(found.rawId), type: found.type,
    response: { authenticatorData: text(authenticatorData), clientDataJSON: text(clientDataJSON), signature: text(signature), userHandle: userHandle && text(userHandle) },
  });
  location.assign(to);
}

async function add() {
  const { publicKey } = await ask("/account/passkeys/options");
  publicKey.challenge = bytes(publicKey.challenge);
  publicKey.user.id = bytes(publicKey.user.id);
  for (const known of publicKey.excludeCredentials || []) known.id = bytes(known.id);
  const made = await navigator.credentials.create({ publicKey });
  const name = document.getElementById("passkey-name").value.trim();
  const { to } = await ask(`/account/passkeys?name=${encodeURIComponent(name)}`, {
    id: made.id, rawId: text(made.rawId), type: made.type,
    response: { attestationObject: text(made.response.attestationObject), clientDataJSON: text(made.response.clientDataJSON), transports: made.response.getTransports?.() || [] },
  });
  location.assign(to);
}

// ask posts JSON and returns the answer's. An answer that leads elsewhere is followed.
async function ask(path, body) {
  const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body ?? {}) });
  const said = await answer.json();
  if (answer.status === 403 && said.to) location.assign(said.to);
  if (!answer.ok) throw Object.assign(new Error(path + ": " + answer.status), said);
  return said;
}
