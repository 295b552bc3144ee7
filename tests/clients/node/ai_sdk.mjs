// Vercel's AI SDK: one interface over providers of its own for OpenAI (both wires), compatible servers, Anthropic and Google.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { Output, generateText, jsonSchema, streamText, tool } from "ai";

import { KEY, URL_, main, said } from "./cells.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;
const openai = createOpenAI({ baseURL: `${URL_}/v1`, apiKey: KEY });
const anthropic = createAnthropic({ baseURL: `${URL_}/v1`, apiKey: KEY });
const google = createGoogleGenerativeAI({ baseURL: `${URL_}/v1beta`, apiKey: KEY });
const compatible = createOpenAICompatible({
  baseURL: `${URL_}/v1`, apiKey: KEY, name: "gatewright", includeUsage: true, supportsStructuredOutputs: true,
});

function adapter(name, model, thinking, lacks = []) {
  return {
    name,
    lacks,
    finishes: { stop: "stop", tool: "tool-calls", length: "length" },
    failures: { 429: { kind: "AI_APICallError", status: 429 }, 500: { kind: "AI_APICallError", status: 500 } },
    failure: (error) => ({ kind: error.name, status: error.statusCode ?? null }),

    messages(ask) {
      const image = { type: "file", data: ask.image, mediaType: "image/png" };
      return [{ role: "user", content: ask.image ? [{ type: "text", text: ask.text }, image] : ask.text }];
    },

    async send(ask, messages) {
      const request = { model: model(ask.model), messages, maxRetries: 0 };
      if (ask.system) request.system = ask.system;
      if (ask.maxTokens) request.maxOutputTokens = ask.maxTokens;
      if (ask.think) request.providerOptions = thinking;
      if (ask.tools.length) {
        request.tools = Object.fromEntries(
          ask.tools.map(({ name: called, description, parameters }) => [
            called,
            tool({ description, inputSchema: jsonSchema(parameters) }),
          ]),
        );
      }
      if (ask.schema) request.output = Output.object({ schema: jsonSchema(ask.schema), name: "capital" });
      if (!ask.stream) return this.said(await generateText(request));
      const run = streamText({ ...request, onError: () => {} });
      for await (const part of run.fullStream) {
        if (part.type === "error") throw part.error;
      }
      return this.said({
        text: await run.text,
        reasoningText: await run.reasoningText,
        toolCalls: await run.toolCalls,
        finishReason: await run.finishReason,
        usage: await run.usage,
        response: await run.response,
      });
    },

    said(result) {
      const { usage } = result;
      return said({
        text: result.text,
        thought: result.reasoningText ?? "",
        calls: result.toolCalls.map((call) => ({ id: call.toolCallId, name: call.toolName, arguments: call.input })),
        finish: result.finishReason,
        usage: {
          input: usage.inputTokens,
          cached: usage.inputTokenDetails?.cacheReadTokens,
          output: usage.outputTokens,
        },
        model: result.response.modelId.replace(/^models\//, ""),
        history: result.response.messages,
      });
    },

    say(ask) {
      return this.send(ask, this.messages(ask));
    },

    again(ask, first, results) {
      const content = first.calls.map((call) => ({
        type: "tool-result", toolCallId: call.id, toolName: call.name,
        output: { type: "text", value: results[call.name] },
      }));
      return this.send(ask, [...this.messages(ask), ...first.history, { role: "tool", content }]);
    },
  };
}

await main(
  adapter("ai-sdk-openai", (name) => openai(name), {
    openai: { reasoningEffort: "low", reasoningSummary: "auto", store: false, forceReasoning: true },
  }),
  adapter("ai-sdk-openai-chat", (name) => openai.chat(name), { openai: { reasoningEffort: "low" } }, ["thinking"]),
  adapter("ai-sdk-compatible", (name) => compatible(name), { gatewright: { reasoningEffort: "low" } }),
  adapter("ai-sdk-anthropic", (name) => anthropic(name), {
    anthropic: { thinking: { type: "enabled", budgetTokens: 2048 } },
  }),
  adapter("ai-sdk-google", (name) => google(`models/${name}`), {
    google: { thinkingConfig: { includeThoughts: true, thinkingBudget: 2048 } },
  }),
);
