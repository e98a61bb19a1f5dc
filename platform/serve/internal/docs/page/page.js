// Renders the document that the page links to (OpenAPI 2). Everything is set as text, never as markup.
"use strict";

const verbs = ["get", "post", "put", "patch", "delete"];

function element(tag, className, ...children) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...children);
  return e;
}

function text(value) { return value === undefined ? "" : String(value); }

// typeOf says a schema in words and links to the definition it names.
function typeOf(schema) {
  if (!schema) return document.createTextNode("");
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    const link = element("a", "", name);
    link.href = "#schema-" + encodeURIComponent(name);
    return link;
  }
  if (schema.type === "array") return element("span", "", "list of ", typeOf(schema.items));
  if (schema.additionalProperties) return element("span", "", "map to ", typeOf(schema.additionalProperties));
  let words = text(schema.type || "any");
  if (schema.format) words += " (" + schema.format + ")";
  if (schema.enum) words += ": " + schema.enum.join(", ");
  return document.createTextNode(words);
}

function table(head, rows) {
  const top = element("tr", "", ...head.map((h) => element("th", "", h)));
  const body = rows.map((cells) => element("tr", "", ...cells.map((c) => element("td", "", c))));
  return element("table", "", element("thead", "", top), element("tbody", "", ...body));
}

function scopesOf(operation) {
  if (!operation.security) return [];
  const all = operation.security.flatMap((s) => Object.values(s).flat());
  return all.length ? all : ["public"];
}

function operationOf(path, verb, operation) {
  const summary = element("summary", "",
    element("span", "verb", verb), element("span", "path", path),
    ...scopesOf(operation).map((s) => element("span", "scope", s)));
  const body = element("div", "",
    element("p", "description", [operation.summary, operation.description].filter(Boolean).join("\n\n")));
  const parameters = operation.parameters || [];
  if (parameters.length) {
    body.append(table(["Parameter", "In", "Type", "Meaning"], parameters.map((p) => [
      element("code", "", p.name + (p.required ? " *" : "")), p.in, typeOf(p.schema || p), element("span", "description", text(p.description)),
    ])));
  }
  body.append(table(["Answer", "Type", "Meaning"], Object.entries(operation.responses || {}).map(([status, r]) => [
    status, typeOf(r.schema), element("span", "description", text(r.description)),
  ])));
  const details = element("details", "", summary, body);
  details.dataset.text = [verb, path, operation.summary, operation.operationId, ...scopesOf(operation)].join(" ").toLowerCase();
  return details;
}

function schemaOf(name, schema) {
  const body = element("div", "", element("p", "description", text(schema.description || schema.title)));
  const properties = Object.entries(schema.properties || {});
  if (properties.length) {
    body.append(table(["Field", "Type", "Meaning"], properties.map(([field, s]) => [
      element("code", "", field + ((schema.required || []).includes(field) ? " *" : "")), typeOf(s),
      element("span", "description", text(s.description || s.title) + (s.readOnly ? " (read only)" : "")),
    ])));
  } else {
    body.append(element("p", "", typeOf(schema)));
  }
  const details = element("details", "", element("summary", "", element("code", "", name)), body);
  details.id = "schema-" + encodeURIComponent(name);
  return details;
}

function openTarget() {
  const target = document.getElementById(location.hash.slice(1));
  if (target) { target.open = true; target.scrollIntoView(); }
}

async function main() {
  const operations = document.getElementById("operations");
  let api;
  try {
    const answer = await fetch(document.getElementById("document").href);
    if (!answer.ok) throw new Error("status " + answer.status);
    api = await answer.json();
  } catch (e) {
    operations.replaceChildren(element("p", "", "The document cannot be read: " + e.message));
    return;
  }
  const info = api.info || {};
  document.title = document.getElementById("title").textContent = [info.title || "API", info.version].filter(Boolean).join(" ");
  const all = [];
  for (const [path, item] of Object.entries(api.paths || {})) {
    for (const verb of verbs) {
      if (item[verb]) all.push(operationOf(path, verb, item[verb]));
    }
  }
  operations.replaceChildren(...(all.length ? all : [element("p", "", "The document names no operation.")]));
  document.getElementById("schemas").replaceChildren(
    ...Object.entries(api.definitions || {}).map(([name, schema]) => schemaOf(name, schema)));
  document.getElementById("filter").addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const o of all) o.hidden = !o.dataset.text.includes(wanted);
  });
  addEventListener("hashchange", openTarget);
  openTarget();
}

main();
