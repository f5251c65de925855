// Claims that were made on this page, with their messages.
import { element } from "../protocol/element.js";
import { shown } from "./tail.js";

/** A button that does something, and is not pressed twice meanwhile. */
function button(text, act, attempt) {
  const made = element("button", { type: "button" }, text);
  made.addEventListener("click", async () => {
    made.disabled = true;
    await attempt(act);
    made.disabled = false;
  });
  return made;
}

/**
 * Shows a claim.
 *
 * @param {Element} into @param {import("../sdk/queue.js").Claim} claim
 * @param {(act: () => Promise<unknown>) => Promise<void>} attempt does it, and shows what fails
 */
export function showClaim(into, claim, attempt) {
  const box = element("div", { class: "claim", role: "group", "aria-label": `Claim ${claim.id}` });
  const gone = () => box.remove();
  for (const message of claim.messages) {
    const row = element("div", { class: "message" });
    const done = async () => {
      await claim.acknowledge(message);
      row.remove();
      if (!box.querySelector(".message")) gone();
    };
    row.append(
      element("time", {}, `${message.age ?? 0} s old`),
      element("pre", {}, shown(message.body)),
      button("Delete", done, attempt),
    );
    box.append(row);
  }
  const release = async () => {
    await claim.release();
    gone();
  };
  const actions = element("p", { class: "actions" });
  actions.append(
    button("Renew", () => claim.renew(), attempt),
    button("Release", release, attempt),
  );
  box.append(actions);
  into.prepend(box);
}
