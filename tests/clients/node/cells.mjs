// What every client must get through the gateway: `tests/clients/cells.py` for Node.js, feature by feature. An adapter is
// {name, lacks, finishes, failures, say(ask), again(ask, said, results), failure(error)}; `say` gives
// {text, thought, calls: [{id, name, arguments}], finish, usage, model, history}.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

export const EXPECTED = JSON.parse(readFileSync(new URL("../expected.json", import.meta.url), "utf8"));
export const URL_ = process.env.GATEWAY_URL;
export const KEY = process.env.GATEWAY_KEY;
const AT_ONCE = 6;
const LIMIT_MS = 60_000;

export function said(more = {}) {
  return { text: "", thought: "", calls: [], finish: null, usage: {}, model: null, history: null, ...more };
}

function same(expected, actual, what) {
  assert.deepEqual(actual, expected, `${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`);
}

class Cell {
  constructor(adapter, upstream, feature) {
    Object.assign(this, { adapter, upstream, feature, mark: `[${adapter.name}>${upstream}>${feature}]` });
  }

  ask(transcript, more = {}) {
    const model = `${this.upstream}/${EXPECTED.prefix[this.upstream] ?? ""}${transcript}`;
    return { model, text: `${EXPECTED.question} ${this.mark}`, tools: [], stream: false, ...more };
  }

  counts(answer, thought = false) {
    const expected = { ...EXPECTED.usage, reasoning: thought ? EXPECTED.usage.reasoning : 0 };
    for (const unsaid of EXPECTED.uncounted[this.upstream] ?? []) expected[unsaid] = 0;
    const told = Object.fromEntries(Object.entries(answer.usage).map(([name, count]) => [name, count ?? 0]));
    assert("input" in told && "output" in told, "no usage");
    for (const name of Object.keys(told)) same(expected[name], told[name], `usage.${name}`);
  }

  finished(answer, how) {
    same(this.adapter.finishes[how], answer.finish, "finish");
  }
}

function called(answer, count) {
  same(
    EXPECTED.calls.slice(0, count),
    answer.calls.map((call) => ({ name: call.name, arguments: call.arguments })),
    "calls",
  );
  const ids = answer.calls.map((call) => call.id).filter(Boolean);
  same(ids.length, new Set(ids).size, "distinct ids");
}

const plain = (stream) => async (cell) => {
  const ask = cell.ask("plain", { system: EXPECTED.system, stream });
  const answer = await cell.adapter.say(ask);
  same(EXPECTED.answer, answer.text, "text");
  cell.finished(answer, "stop");
  cell.counts(answer);
  if (answer.model) same(ask.model, answer.model, "model");
};

const tools = (transcript, count, text) => async (cell) => {
  for (const stream of [false, true]) {
    const answer = await cell.adapter.say(cell.ask(transcript, { tools: EXPECTED.tools, stream }));
    called(answer, count);
    same(text, answer.text, "text");
    cell.finished(answer, "tool");
    cell.counts(answer);
  }
};

const error = (status) => async (cell) => {
  for (const stream of [false, true]) {
    let failed;
    try {
      await cell.adapter.say(cell.ask(`fault-${status}`, { stream }));
    } catch (caught) {
      failed = caught;
    }
    assert(failed, "no error");
    same(cell.adapter.failures[status], cell.adapter.failure(failed), `error (stream ${stream}), ${failed}`);
  }
};

const FEATURES = {
  text: plain(false),
  stream: plain(true),
  tool: tools("one-tool", 1, ""),
  "parallel-tools": tools("two-tools", 2, "Let me look."),
  "tool-results": async (cell) => {
    for (const transcript of ["two-tools", "thinking-tool"]) {
      for (const stream of [false, true]) {
        const ask = cell.ask(transcript, { tools: EXPECTED.tools, stream, think: transcript === "thinking-tool" });
        const first = await cell.adapter.say(ask);
        called(first, 2);
        const last = await cell.adapter.again(ask, first, EXPECTED.results);
        same(EXPECTED.answer, last.text, `text after the results (${transcript}, stream ${stream})`);
        same([], last.calls, "calls after the results");
        cell.finished(last, "stop");
      }
    }
  },
  thinking: async (cell) => {
    for (const stream of [false, true]) {
      const answer = await cell.adapter.say(cell.ask("thinking-text", { think: true, stream }));
      same(EXPECTED.thought, answer.thought, `thought (stream ${stream})`);
      same(EXPECTED.answer, answer.text, "text");
      cell.finished(answer, "stop");
      cell.counts(answer, true);
    }
  },
  image: async (cell) => {
    const answer = await cell.adapter.say(cell.ask("plain", { image: EXPECTED.image }));
    same(EXPECTED.answer, answer.text, "text");
  },
  "json-schema": async (cell) => {
    for (const stream of [false, true]) {
      const answer = await cell.adapter.say(cell.ask("json", { schema: EXPECTED.schema, stream }));
      same(EXPECTED.json, JSON.parse(answer.text), "JSON");
      cell.finished(answer, "stop");
    }
  },
  "max-tokens": async (cell) => {
    for (const stream of [false, true]) {
      const answer = await cell.adapter.say(cell.ask("max-tokens", { maxTokens: 16, stream }));
      same(EXPECTED.beginning, answer.text, "text");
      cell.finished(answer, "length");
      cell.counts(answer);
    }
  },
  "error-429": error("429"),
  "error-500": error("500"),
  "mid-stream-error": async (cell) => {
    for (const transcript of ["mid-error", "cut"]) {
      let answer;
      try {
        answer = await cell.adapter.say(cell.ask(transcript, { stream: true }));
      } catch {
        continue;
      }
      assert.fail(`${transcript}: no error, but ${JSON.stringify(answer.text)} and finish ${answer.finish}`);
    }
  },
  unicode: async (cell) => {
    for (const stream of [false, true]) {
      const answer = await cell.adapter.say(cell.ask("world", { system: EXPECTED.world, stream }));
      same(EXPECTED.world, answer.text, `text (stream ${stream})`);
    }
  },
};

async function one(cell) {
  let outcome = "ok";
  let detail = "";
  if (cell.adapter.lacks.includes(cell.feature)) {
    outcome = "impossible";
  } else {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no end in ${LIMIT_MS} ms`)), LIMIT_MS);
    });
    try {
      await Promise.race([FEATURES[cell.feature](cell), late]);
    } catch (caught) {
      outcome = "failed";
      const place = caught.stack?.split("\n").find((line) => line.includes("/node/") && !line.includes("cells.mjs"));
      detail = `${caught.name}: ${caught.message}`.slice(0, 1500) + (place ? ` (${place.trim()})` : "");
    }
    clearTimeout(timer);
  }
  const line = { client: cell.adapter.name, upstream: cell.upstream, feature: cell.feature, outcome, detail };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Run every cell of `adapters`; arguments on the command line pick those whose mark holds one of them. */
export async function main(...adapters) {
  const wanted = process.argv.slice(2);
  const waiting = adapters
    .flatMap((adapter) =>
      EXPECTED.upstreams.flatMap((upstream) => Object.keys(FEATURES).map((each) => new Cell(adapter, upstream, each))),
    )
    .filter((cell) => wanted.length === 0 || wanted.some((part) => cell.mark.includes(part)));
  const worker = async () => {
    for (let cell = waiting.shift(); cell; cell = waiting.shift()) await one(cell);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
