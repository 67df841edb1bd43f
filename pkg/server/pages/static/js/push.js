// Subscribes this browser to notices: the form then sends what the browser's notification service needs to reach it.
export default function push(form) {
  const problem = form.querySelector("[data-push-problem]");
  const button = form.querySelector("[data-push-start]");
  const say = (what) => {
    problem.textContent = form.dataset[what];
    problem.hidden = false;
    button.disabled = false;
  };
  if (!("serviceWorker" in navigator) || !("PushManager" in window) || !("Notification" in window)) {
    say("missing");
    return;
  }
  button.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    problem.hidden = true;
    if (await Notification.requestPermission() !== "granted") {
      say("denied");
      return;
    }
    try {
      put(form, await subscribe(form.dataset.key));
    } catch (error) {
      console.error(error);
      say("failed");
      return;
    }
    form.submit();
  });
}

// subscribe returns the browser's subscription for the server's key; one for another key is of no use to it.
async function subscribe(key) {
  const worker = await navigator.serviceWorker.ready;
  const before = await worker.pushManager.getSubscription();
  if (before) await before.unsubscribe();
  return worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
}

function put(form, subscription) {
  const { endpoint, keys } = subscription.toJSON();
  form.elements.url.value = endpoint;
  form.elements.p256dh.value = keys.p256dh;
  form.elements.auth.value = keys.auth;
}
