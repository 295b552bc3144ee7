// The official openai SDK for Node.js: Chat Completions and Responses.

import OpenAI from "openai";

import { KEY, URL_, main, said } from "./cells.mjs";

const client = new OpenAI({ baseURL: `${URL_}/v1`, apiKey: KEY, maxRetries: 0 });
const failures = {
  429: { kind: "RateLimitError", status: 429 },
  500: { kind: "InternalServerError", status: 500 },
};
const failure = (error) => ({ kind: error.constructor.name, status: error.status ?? null });
const dataUrl = (image) => `data:image/png;base64,${image}`;

const chat = {
  name: "openai-chat-node",
  lacks: [],
  finishes: { stop: "stop", tool: "tool_calls", length: "length" },
  failures,
  failure,

  messages(ask) {
    const content = ask.image
      ? [{ type: "text", text: ask.text }, { type: "image_url", image_url: { url: dataUrl(ask.image) } }]
      : ask.text;
    return [...(ask.system ? [{ role: "system", content: ask.system }] : []), { role: "user", content }];
  },

  async send(ask, messages) {
    const request = { model: ask.model, messages };
    if (ask.tools.length) request.tools = ask.tools.map((tool) => ({ type: "function", function: tool }));
    if (ask.schema) {
      const named = { name: "capital", schema: ask.schema, strict: true };
      request.response_format = { type: "json_schema", json_schema: named };
    }
    if (ask.maxTokens) request.max_completion_tokens = ask.maxTokens;
    if (ask.think) request.reasoning_effort = "low";
    if (!ask.stream) return this.said(await client.chat.completions.create(request));
    let thought = "";
    let usage;
    let text = "";
    // The helper throws at an answer that was cut at its limit, once it parses; so it is not asked to parse.
    const runner = client.chat.completions.stream({ ...request, stream_options: { include_usage: true } });
    for await (const chunk of runner) {
      usage = chunk.usage ?? usage;
      text += chunk.choices[0]?.delta.content ?? "";
      thought += chunk.choices[0]?.delta.reasoning_content ?? "";
    }
    const whole = this.said({ ...(await runner.finalChatCompletion()), usage });
    if (text !== whole.text) throw new Error(`deltas give ${text}, the end ${whole.text}`);
    return { ...whole, thought };
  },

  said(completion) {
    const [{ message, finish_reason: finish }] = completion.choices;
    const { usage } = completion;
    const history = { role: "assistant", content: message.content };
    if (message.tool_calls?.length) {
      history.tool_calls = message.tool_calls.map(({ id, function: { name, arguments: text } }) => ({
        id, type: "function", function: { name, arguments: text },
      }));
    }
    if (message.reasoning_details) history.reasoning_details = message.reasoning_details;
    return said({
      text: message.content ?? "",
      thought: message.reasoning_content ?? "",
      calls: (message.tool_calls ?? []).map((call) => ({
        id: call.id, name: call.function.name, arguments: JSON.parse(call.function.arguments),
      })),
      finish,
      usage: {
        input: usage.prompt_tokens,
        cached: usage.prompt_tokens_details?.cached_tokens,
        output: usage.completion_tokens,
        reasoning: usage.completion_tokens_details?.reasoning_tokens,
      },
      model: completion.model,
      history,
    });
  },

  say(ask) {
    return this.send(ask, this.messages(ask));
  },

  again(ask, first, results) {
    const answers = first.calls.map((call) => ({ role: "tool", tool_call_id: call.id, content: results[call.name] }));
    return this.send(ask, [...this.messages(ask), first.history, ...answers]);
  },
};

const responses = {
  name: "openai-responses-node",
  lacks: [],
  finishes: { stop: "completed", tool: "completed", length: "incomplete" },
  failures,
  failure,

  input(ask) {
    const content = ask.image
      ? [
          { type: "input_text", text: ask.text },
          { type: "input_image", image_url: dataUrl(ask.image), detail: "auto" },
        ]
      : ask.text;
    return [{ role: "user", content }];
  },

  async send(ask, input) {
    const request = { model: ask.model, input, store: false };
    if (ask.system) request.instructions = ask.system;
    if (ask.tools.length) request.tools = ask.tools.map((tool) => ({ type: "function", strict: true, ...tool }));
    if (ask.schema) {
      request.text = { format: { type: "json_schema", name: "capital", schema: ask.schema, strict: true } };
    }
    if (ask.maxTokens) request.max_output_tokens = ask.maxTokens;
    if (ask.think) Object.assign(request, { reasoning: { effort: "low", summary: "auto" } });
    if (!ask.stream) return this.said(await client.responses.create(request));
    const stream = client.responses.stream(request);
    let text = "";
    let last;
    for await (const event of stream) {
      if (event.type === "response.output_text.delta") text += event.delta;
      last = event;
    }
    if (!["response.completed", "response.incomplete"].includes(last?.type)) {
      throw new Error(`the stream ended with ${last?.type}`);
    }
    const whole = this.said(last.response);
    if (text !== whole.text) throw new Error(`deltas give ${text}, the end ${whole.text}`);
    return whole;
  },

  said(response) {
    const { output, usage } = response;
    const parts = output.filter((item) => item.type === "message").flatMap((item) => item.content);
    return said({
      text: parts.map((part) => part.text ?? "").join(""),
      thought: output.filter((item) => item.type === "reasoning").flatMap((item) => item.summary)
        .map((part) => part.text).join(""),
      calls: output.filter((item) => item.type === "function_call").map((item) => ({
        id: item.call_id, name: item.name, arguments: JSON.parse(item.arguments),
      })),
      finish: response.status,
      usage: {
        input: usage.input_tokens,
        cached: usage.input_tokens_details.cached_tokens,
        output: usage.output_tokens,
        reasoning: usage.output_tokens_details.reasoning_tokens,
      },
      model: response.model,
      history: output,
    });
  },

  say(ask) {
    return this.send(ask, this.input(ask));
  },

  again(ask, first, results) {
    const answers = first.calls.map((call) => ({
      type: "function_call_output", call_id: call.id, output: results[call.name],
    }));
    return this.send(ask, [...this.input(ask), ...first.history, ...answers]);
  },
};

await main(chat, responses);
