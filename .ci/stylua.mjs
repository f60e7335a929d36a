// Check (or with --write, mend) the format of Lua files with the WebAssembly build of StyLua.
// Usage: node .ci/stylua.mjs MODULE_FOLDER [--write] FILE...
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const [folder, ...rest] = process.argv.slice(2);
const write = rest.includes("--write");
const files = rest.filter((word) => word !== "--write");
const require = createRequire(`file://${process.cwd()}/${folder}/`);
const stylua = require("@johnnymorganz/stylua");

// formatCode takes the configuration over, so each file needs its own.
function configuration() {
  const config = stylua.Config.new();
  config.syntax = stylua.LuaVersion.Lua54;
  config.column_width = 100;
  config.indent_type = stylua.IndentType.Spaces;
  config.indent_width = 2;
  return config;
}

let bad = 0;
for (const file of files) {
  const before = readFileSync(file, "utf8");
  const after = stylua.formatCode(before, configuration(), undefined, stylua.OutputVerification.Full);
  if (before !== after) {
    bad += 1;
    if (write) writeFileSync(file, after);
    console.log(`${write ? "formatted" : "not formatted"}: ${file}`);
  }
}
console.log(`stylua: ${files.length} files, ${bad} ${write ? "changed" : "to format"}`);
process.exit(bad && !write ? 1 : 0);
