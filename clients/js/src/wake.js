/**
 * Moments at which a connection is worth a look: it may be dead, or a reconnect may work now.
 *
 * A hook is called with what looks, and returns what takes it away again.
 *
 * @typedef {(look: () => void) => () => void} Wake
 */

/**
 * The events of a page: online again, visible again, back from the page cache. Does nothing where there are none.
 *
 * @type {Wake}
 */
export function browserWake(look) {
  const visible = () => {
    if (globalThis.document.visibilityState === "visible") look();
  };
  /** @type {[EventTarget | undefined, string, () => void][]} */
  const hooks = [
    [globalThis, "online", look],
    [globalThis, "pageshow", look],
    [globalThis.document, "visibilitychange", visible],
  ];
  for (const [target, name, handler] of hooks) target?.addEventListener?.(name, handler);
  return () => {
    for (const [target, name, handler] of hooks) target?.removeEventListener?.(name, handler);
  };
}

/**
 * React Native: the app comes to the foreground.
 *
 * @param {{addEventListener(name: "change", handler: (state: string) => void): {remove(): void}}} appState
 *   `AppState` of `react-native`
 * @returns {Wake}
 */
export function appStateWake(appState) {
  return (look) => {
    const subscription = appState.addEventListener("change", (state) => {
      if (state === "active") look();
    });
    return () => subscription.remove();
  };
}
