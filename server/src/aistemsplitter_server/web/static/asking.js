// Requests to the server that are answered in JSON.

/** The server could not be reached, or something else than the service answered. */
export class Unreachable extends Error {}

/** The server refused; the message is a sentence for the reader. */
export class Refused extends Error {
  /** @param {string} code of the error, as in the API */
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

/**
 * POST JSON.
 * @param {RequestInit} [more] options of the request
 * @returns {Promise<any>} the response's data
 * @throws {Refused | Unreachable}
 */
export async function ask(path, body, headers = {}, signal = undefined, more = {}) {
  const response = await reach(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json", ...headers },
    body: JSON.stringify(body),
    signal,
    ...more,
  });
  const answer = await response.json().catch(() => {
    throw new Unreachable();
  });
  if (!answer.success) throw new Refused(answer.error.message, answer.error.code);
  return answer.data;
}

/**
 * Send a request.
 * @throws {Unreachable} if no response arrives, except if the request was aborted
 */
export async function reach(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Unreachable();
  }
}
