// The official @anthropic-ai/sdk.

import Anthropic from "@anthropic-ai/sdk";

import { KEY, URL_, main, said } from "./cells.mjs";

const client = new Anthropic({ baseURL: URL_, apiKey: KEY, maxRetries: 0 });

const messages = {
  name: "anthropic-node",
  lacks: [],
  finishes: { stop: "end_turn", tool: "tool_use", length: "max_tokens" },
  failures: {
    429: { kind: "RateLimitError", status: 429 },
    500: { kind: "InternalServerError", status: 500 },
  },
  failure: (error) => ({ kind: error.constructor.name, status: error.status ?? null }),

  turns(ask) {
    const source = { type: "base64", media_type: "image/png", data: ask.image };
    const content = ask.image ? [{ type: "image", source }, { type: "text", text: ask.text }] : ask.text;
    return [{ role: "user", content }];
  },

  async send(ask, turns) {
    const request = { model: ask.model, messages: turns, max_tokens: ask.maxTokens ?? 4096 };
    if (ask.system) request.system = ask.system;
    if (ask.tools.length) {
      request.tools = ask.tools.map(({ name, description, parameters }) => ({
        name, description, input_schema: parameters,
      }));
    }
    if (ask.schema) request.output_config = { format: { type: "json_schema", schema: ask.schema } };
    if (ask.think) request.thinking = { type: "enabled", budget_tokens: 2048 };
    if (!ask.stream) return this.said(await client.messages.create(request));
    const stream = client.messages.stream(request);
    let text = "";
    stream.on("text", (piece) => {
      text += piece;
    });
    const whole = this.said(await stream.finalMessage());
    if (text !== whole.text) throw new Error(`deltas give ${text}, the end ${whole.text}`);
    return whole;
  },

  said(message) {
    const { content, usage } = message;
    const cached = usage.cache_read_input_tokens ?? 0;
    return said({
      text: content.filter((block) => block.type === "text").map((block) => block.text).join(""),
      thought: content.filter((block) => block.type === "thinking").map((block) => block.thinking).join(""),
      calls: content.filter((block) => block.type === "tool_use").map((block) => ({
        id: block.id, name: block.name, arguments: block.input,
      })),
      finish: message.stop_reason,
      usage: {
        input: usage.input_tokens + cached + (usage.cache_creation_input_tokens ?? 0),
        cached,
        output: usage.output_tokens,
        ...(usage.output_tokens_details ? { reasoning: usage.output_tokens_details.thinking_tokens } : {}),
      },
      model: message.model,
      history: content,
    });
  },

  say(ask) {
    return this.send(ask, this.turns(ask));
  },

  again(ask, first, results) {
    const answers = first.calls.map((call) => ({
      type: "tool_result", tool_use_id: call.id, content: results[call.name],
    }));
    const turns = [{ role: "assistant", content: first.history }, { role: "user", content: answers }];
    return this.send(ask, [...this.turns(ask), ...turns]);
  },
};

await main(messages);
