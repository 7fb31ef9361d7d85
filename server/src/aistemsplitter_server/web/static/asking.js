// Questions to the server that are answered in JSON.

/**
 * POST JSON.
 * @returns {Promise<any>} the answer's data
 * @throws {Error} with the server's words for the reader
 */
export async function ask(path, body, headers = {}, signal = undefined) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json", ...headers },
    body: JSON.stringify(body),
    signal,
  });
  const told = await answer.json();
  if (!told.success) throw new Error(told.error.message);
  return told.data;
}
