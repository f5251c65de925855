// Shows the AsyncAPI document of this gateway: every action with its request and reply, every event.

import { element } from "./element.js";

const about = document.getElementById("about");

/** What a JSON pointer of the document points to; anything else as it is. */
function follow(whole, schema) {
  while (schema?.$ref) {
    schema = schema.$ref.slice(2).split("/").reduce((at, key) => at[key], whole);
  }
  return schema ?? {};
}

/** A schema in a few words. */
function words(whole, schema) {
  const found = follow(whole, schema);
  if ("const" in found) return JSON.stringify(found.const);
  if (found.enum) return found.enum.map((each) => JSON.stringify(each)).join(" or ");
  if (found.anyOf) return found.anyOf.map((each) => words(whole, each)).join(" or ");
  if (found.type === "array") return `list of ${words(whole, found.items ?? {})}`;
  if (found.type === "object" && schema?.$ref && !Object.keys(found.properties ?? {}).length) return "an empty object";
  const type = [found.type ?? "any value"].flat().join(" or ");
  const limits = [
    ["from", found.minimum ?? found.minLength],
    ["to", found.maximum ?? found.maxLength],
  ].filter(([, limit]) => limit !== undefined);
  const name = schema?.$ref && found.properties ? `${schema.$ref.split("/").pop()}: ` : "";
  return name + [type, ...limits.flat()].join(" ");
}

/** The fields of an object, those of objects in it behind a dot; null for what is none. */
function fields(whole, schema, prefix = "", depth = 0) {
  const found = follow(whole, schema);
  const rows = [];
  for (const [name, field] of Object.entries(found.properties ?? {})) {
    const cell = element("td", found.required?.includes(name) ? { class: "required" } : {}, prefix + name);
    const inner = follow(whole, field);
    const told = [words(whole, field), inner.description].filter(Boolean).join(". ");
    rows.push(element("tr", {}, cell, element("td", {}, told)));
    const below = inner.type === "array" ? inner.items : field;
    if (depth < 2 && follow(whole, below).properties) {
      rows.push(...fields(whole, below, `${prefix}${name}${inner.type === "array" ? "[]" : ""}.`, depth + 1));
    }
  }
  return rows;
}

function part(whole, title, schema) {
  const rows = fields(whole, schema);
  const shown = rows.length ? element("table", {}, element("tbody", {}, ...rows)) : element("p", {}, words(whole, schema));
  return [element("h4", {}, title), shown];
}

function article(whole, name, operation) {
  const message = follow(whole, operation.messages[0]);
  const parts =
    operation.action === "send"
      ? part(whole, "Frame", message.payload)
      : [
          ...part(whole, "Body of the request", message.payload.properties.body),
          ...part(whole, "Body of the reply", follow(whole, operation.reply.messages[0]).payload.properties.body),
        ];
  return element("article", { id: name }, element("h3", {}, name), element("p", {}, operation.summary), ...parts);
}

/** The heading under which an operation stands: what its name begins with. */
function group(name, operation) {
  if (operation.action === "send") return "sent by the gateway";
  const first = name.split("_")[0];
  return ["queue", "message", "claim", "subscription", "pool", "flavor"].includes(first) ? first : "node";
}

function show(whole) {
  about.textContent = whole.info.description;
  const groups = new Map();
  for (const [name, operation] of Object.entries(whole.operations)) {
    const title = group(name, operation);
    if (!groups.has(title)) groups.set(title, []);
    groups.get(title).push(element("li", {}, element("a", { href: `#${name}` }, name)));
    document.getElementById("operations").append(article(whole, name, operation));
  }
  for (const [title, links] of groups) {
    document.getElementById("contents").append(element("h2", {}, title), element("ul", {}, ...links));
  }
  // The browser looked for the fragment before there was anything.
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

try {
  const response = await fetch("../asyncapi.json");
  if (!response.ok) throw new Error(`the gateway answered ${response.status}`);
  show(await response.json());
} catch (error) {
  about.textContent = `The document could not be loaded: ${error.message}.`;
}
