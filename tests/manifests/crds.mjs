// Validates objects of custom kinds: `node crds.mjs FOLDER < objects.json`, where the
// folder has the node_modules of package.json.
// The models check types, formats and what is required, but let fields pass that no schema knows. A validator reads every
// field that it knows, so what it has not read, of an object of which it has read anything, is unknown.
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const modules = join(process.argv[2], "node_modules/@kubernetes-models");
const packages = {
  "monitoring.coreos.com": "prometheus-operator",
  "cert-manager.io": "cert-manager",
  "external-secrets.io": "external-secrets",
  "networking.istio.io": "istio",
  "security.istio.io": "istio",
};

function watched(value, reads, path = "") {
  if (value === null || typeof value !== "object") return value;
  const children = Array.isArray(value) ? [] : {};
  for (const [key, child] of Object.entries(value)) children[key] = watched(child, reads, `${path}/${key}`);
  return new Proxy(children, {
    get(target, key, receiver) {
      if (typeof key === "string") {
        if (!reads.has(path)) reads.set(path, new Set());
        reads.get(path).add(key);
      }
      return Reflect.get(target, key, receiver);
    },
  });
}

function unread(value, reads, path = "") {
  if (value === null || typeof value !== "object") return [];
  const read = reads.get(path);
  if (read === undefined) return []; // of any form
  return Object.entries(value).flatMap(([key, child]) =>
    read.has(key) || Array.isArray(value) ? unread(child, reads, `${path}/${key}`) : [`${path}/${key} is unknown`],
  );
}

let text = "";
for await (const chunk of process.stdin) text += chunk;
const problems = [];
for (const object of JSON.parse(text)) {
  const [group, version] = object.apiVersion.split("/");
  const name = `${object.kind} ${object.metadata.name}`;
  if (!(group in packages)) {
    problems.push(`${name}: nothing knows ${object.apiVersion}`);
    continue;
  }
  let Kind;
  try {
    Kind = (await import(pathToFileURL(join(modules, packages[group], group, version, "index.js"))))[object.kind];
  } catch (error) {
    problems.push(`${name}: ${error.message}`);
    continue;
  }
  if (Kind === undefined) {
    problems.push(`${name}: ${object.apiVersion} has no ${object.kind}`);
    continue;
  }
  const reads = new Map();
  try {
    // Not of a new model, which is a copy: then everything would have been read.
    Kind.prototype.validate.call(watched(object, reads));
    problems.push(...unread(object, reads).filter((problem) => !/^\/(apiVersion|kind|metadata)\b/.test(problem)).map((problem) => `${name}: ${problem}`));
  } catch (error) {
    problems.push(`${name}: ${error.message}`);
  }
}
for (const problem of problems) console.log(problem);
process.exit(problems.length === 0 ? 0 : 1);
