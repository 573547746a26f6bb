/**
 * Whose fault a refusal of a mail server is. The enhanced status code (RFC 3463) decides where there is one, then the
 * command that was refused and the reply code (RFC 5321, 4.2).
 *
 * @module
 */

/** The command that was refused. */
export type Stage = "sender" | "recipient" | "data";

/** A reply of the server that refuses something. */
export interface Reply {
  stage: Stage;
  /** The reply code: 400 to 599. */
  code: number;
  /** The whole reply. */
  words: string;
}

/**
 * Whose fault it is: of `recipient`, this address alone; of `message`, what is sent; of `sender`, who sends or signs
 * in; of `server`, anything else, which may be over soon.
 */
export type Fault = "recipient" | "message" | "sender" | "server";

/** A refusal as it is understood. */
export interface Refusal {
  fault: Fault;
  /** Whether the same would be refused again. */
  permanent: boolean;
}

/** Understands a refusal of a message to `recipient`. */
export function understand({ stage, code, words }: Reply, recipient: string): Refusal {
  // 421: the server is about to close the connection (RFC 5321, 3.8).
  if (code === 421) return { fault: "server", permanent: false };
  const match = /^\d{3}[ -]([45])\.(\d{1,3})\.(\d{1,3})\b/.exec(words);
  const permanent = match ? match[1] === "5" : code >= 500;
  // Authentication: required, failed, too weak, not encrypted (RFC 4954, 6).
  if ([530, 534, 535, 538].includes(code)) return { fault: "sender", permanent };
  // Whoever may not relay has no account there, whomever they send to.
  if (/\brelay(ing)?\b/i.test(words) && permanent) return { fault: "sender", permanent };
  const names = words.toLowerCase().includes(recipient.toLowerCase());
  const fault = (match && byEnhancedCode(stage, Number(match[2]), Number(match[3]), names)) ??
    byReplyCode(stage, code, names);
  return { fault, permanent };
}

/** By the subject and the detail of an enhanced status code; null if it leaves the question open. */
function byEnhancedCode(stage: Stage, subject: number, detail: number, names: boolean): Fault | null {
  const atRecipient = stage === "recipient";
  switch (subject) {
    case 1: // Addressing: 7 and 8 are about the sender's.
      return detail === 7 || detail === 8 ? "sender" : stage === "sender" ? "sender" : "recipient";
    case 2: // Mailbox: 3 is the length of the message.
      return atRecipient ? "recipient" : detail === 3 ? "message" : stage === "sender" ? "sender" : "recipient";
    case 3: // Mail system: 4 is a message too big for it.
      return detail === 4 ? "message" : "server";
    case 4: // Network and routing.
      return atRecipient ? "recipient" : "server";
    case 5: // Protocol: 3 is too many recipients.
      return detail === 3 ? "server" : null;
    case 6: // Content: 7 and 9 are about addresses that are not ASCII.
      return atRecipient && (detail === 7 || detail === 9) ? "recipient" : "message";
    case 7: // Security and policy: 8 and 9 are about the sign-in, 20 to 27 about SPF and DKIM (RFC 7372).
      if (detail === 8 || detail === 9 || detail >= 20 && detail <= 27) return "sender";
      return atRecipient ? "recipient" : stage === "sender" ? "sender" : names ? "recipient" : "message";
    default:
      return null;
  }
}

/** By the command and the reply code. */
function byReplyCode(stage: Stage, code: number, names: boolean): Fault {
  // Syntax errors, and commands that are unknown or out of order.
  if (code >= 500 && code < 510) return "server";
  if (stage === "recipient") return "recipient";
  if (code === 552) return "message";
  if (stage === "data") return names ? "recipient" : "message";
  return code >= 500 ? "sender" : "server";
}
