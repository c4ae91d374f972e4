// Makes the calls of a story with Microsoft's own client for JavaScript, @microsoft/microsoft-graph-client, and prints what
// it made of the answers.

const { Client, RetryHandlerOptions } = require("@microsoft/microsoft-graph-client");

function client(base, token) {
  return Client.init({
    baseUrl: base + "/",
    defaultVersion: "beta",
    customHosts: new Set([new URL(base).hostname]),
    authProvider: done => done(null, token),
  });
}

async function call(base, asked) {
  const words = { notificationTitle: asked.title, notificationBody: asked.body };
  // The client would wait for Retry-After by itself; the story wants to see the refusal.
  const ask = path =>
    client(base, asked.token)
      .api("/deviceManagement/" + path)
      .middlewareOptions([new RetryHandlerOptions(0, 0)])
      .header("client-request-id", asked.requestId);
  if (asked.groups) {
    return ask("sendCustomNotificationToCompanyPortal").post({ ...words, groupsToNotify: asked.groups });
  }
  if (asked.device) {
    return ask(`managedDevices/${asked.device}/sendCustomNotificationToCompanyPortal`).post(words);
  }
  const action = { actionName: "customTextNotification", deviceIds: asked.devices, keepEnrollmentData: false, keepUserData: false };
  return ask("managedDevices/executeAction").post({ ...words, ...action });
}

async function told(base, asked) {
  try {
    const made = await call(base, asked);
    if (made === undefined) {
      return { done: true };
    }
    return {
      successful: made.successfulDeviceIds,
      failed: made.failedDeviceIds,
      notFound: made.notFoundDeviceIds,
      notSupported: made.notSupportedDeviceIds,
    };
  } catch (refused) {
    if (!refused.body) {
      throw refused;
    }
    const error = JSON.parse(refused.body);
    return {
      status: refused.statusCode,
      code: refused.code,
      message: refused.message,
      target: error.target ?? null,
      inner: error.innerError.code,
      date: refused.date.toISOString(),
      requestId: refused.requestId,
      clientRequestId: error.innerError["client-request-id"],
      retryAfter: refused.headers.get("retry-after"),
    };
  }
}

async function main() {
  let text = "";
  for await (const piece of process.stdin) {
    text += piece;
  }
  const story = JSON.parse(text);
  const answers = [];
  for (const asked of story.calls) {
    answers.push(await told(story.base, asked));
  }
  console.log(JSON.stringify(answers));
}

main();
