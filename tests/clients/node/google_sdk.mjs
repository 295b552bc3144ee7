// Google's @google/genai.

import { GoogleGenAI } from "@google/genai";

import { KEY, URL_, main, said } from "./cells.mjs";

const client = new GoogleGenAI({ apiKey: KEY, httpOptions: { baseUrl: URL_, retryOptions: { attempts: 1 } } });

const gemini = {
  name: "google-genai-node",
  lacks: [],
  finishes: { stop: "STOP", tool: "STOP", length: "MAX_TOKENS" },
  failures: { 429: { kind: "ApiError", status: 429 }, 500: { kind: "ApiError", status: 500 } },
  failure: (error) => ({ kind: error.name, status: error.status ?? null }),

  contents(ask) {
    const parts = [{ text: ask.text }];
    if (ask.image) parts.push({ inlineData: { data: ask.image, mimeType: "image/png" } });
    return [{ role: "user", parts }];
  },

  async send(ask, contents) {
    const config = {};
    if (ask.system) config.systemInstruction = ask.system;
    if (ask.tools.length) {
      config.tools = [{
        functionDeclarations: ask.tools.map(({ name, description, parameters }) => ({
          name, description, parametersJsonSchema: parameters,
        })),
      }];
    }
    if (ask.schema) Object.assign(config, { responseMimeType: "application/json", responseJsonSchema: ask.schema });
    if (ask.maxTokens) config.maxOutputTokens = ask.maxTokens;
    if (ask.think) config.thinkingConfig = { includeThoughts: true, thinkingBudget: 2048 };
    const answer = said({ history: [] });
    const request = { model: ask.model, contents, config };
    if (ask.stream) {
      for await (const chunk of await client.models.generateContentStream(request)) this.add(answer, chunk);
      if (!answer.finish) throw new Error("the stream ended without a finish reason");
    } else {
      this.add(answer, await client.models.generateContent(request));
    }
    return answer;
  },

  add(answer, piece) {
    const usage = piece.usageMetadata;
    if (usage) {
      answer.usage = {
        input: usage.promptTokenCount,
        cached: usage.cachedContentTokenCount,
        output: (usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0),
        reasoning: usage.thoughtsTokenCount,
      };
    }
    answer.model = piece.modelVersion ?? answer.model;
    for (const candidate of piece.candidates ?? []) {
      answer.finish = candidate.finishReason ?? answer.finish;
      if (!candidate.content?.parts?.length) continue;
      // The SDK's own chats leave empty pieces out, too.
      if (candidate.content.parts.some((part) => part.text !== "" || part.thoughtSignature)) {
        answer.history.push(candidate.content);
      }
      for (const part of candidate.content.parts) {
        if (part.functionCall) {
          const { id, name, args } = part.functionCall;
          answer.calls.push({ id, name, arguments: args });
        } else if (part.thought) {
          answer.thought += part.text;
        } else {
          answer.text += part.text ?? "";
        }
      }
    }
  },

  say(ask) {
    return this.send(ask, this.contents(ask));
  },

  again(ask, first, results) {
    const parts = first.calls.map(({ id, name }) => ({
      functionResponse: { ...(id ? { id } : {}), name, response: { output: results[name] } },
    }));
    return this.send(ask, [...this.contents(ask), ...first.history, { role: "user", parts }]);
  },
};

await main(gemini);
