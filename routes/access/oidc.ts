/**
 * Sign-in of people by OpenID Connect: the authorization code flow with PKCE. What a person may do follows from a claim of
 * their identity provider, and holds for as long as the sign-in.
 *
 * @module
 */

import type { Context } from "hono";
import { deleteCookie, getSignedCookie, setSignedCookie } from "hono/cookie";
import * as client from "openid-client";
import type { AppEnv, Credential, PeopleSignIn } from "../env.ts";
import { withBase } from "../http/address.ts";
import { Problem } from "../http/problem.ts";
import { type OidcSettings, type Role, ROLES } from "../settings.ts";
import { personOf } from "./credentials.ts";

/** What a sign-in that is under way must be finished with. */
interface Pending {
  state: string;
  nonce: string;
  verifier: string;
  back: string;
}

const PENDING_COOKIE = "millrace_oidc";
/** How long a person may take at the provider, in seconds. */
const PENDING_S = 600;

/**
 * What a person is called: no token can have such a name, and no two people of the provider have the same. What they call
 * themselves may change, and another may have it later; `sub` stays theirs.
 */
function nameOf({ sub, preferred_username, email }: client.IDToken): string {
  const short = (text: unknown) => [...String(text).toWellFormed()].slice(0, 100).join("");
  const known = short(preferred_username ?? email ?? sub);
  return known === sub ? `oidc:${known}` : `oidc:${known} (${short(sub)})`;
}

/** An identity provider that people sign in with. */
export class Oidc implements PeopleSignIn {
  #config: Promise<client.Configuration> | null = null;

  /**
   * @param sessionKey Signs the cookies of people.
   * @param publicUrl The address of the service, which the provider sends people back to.
   */
  constructor(readonly settings: OidcSettings, readonly sessionKey: string, readonly publicUrl: URL) {}

  /** What the button calls the provider. */
  get name(): string {
    return this.settings.issuer.host;
  }

  get #redirect(): string {
    return new URL(withBase("/login/callback", this.publicUrl), this.publicUrl).href;
  }

  /** A key of its own: no cookie of the one kind can be passed off as one of the other. */
  get #pendingKey(): string {
    return `${this.sessionKey} pending`;
  }

  #discovered(): Promise<client.Configuration> {
    const { issuer, clientId, clientSecret } = this.settings;
    // A provider on this machine, as in tests, may speak HTTP.
    const execute = issuer.protocol === "http:" ? [client.allowInsecureRequests] : [];
    this.#config ??= client.discovery(issuer, clientId, clientSecret, undefined, { execute });
    this.#config.catch(() => this.#config = null);
    return this.#config;
  }

  /** The address at the provider where a person signs in. */
  async begin(c: Context<AppEnv>, back: string): Promise<URL> {
    const config = await this.#discovered().catch((error) => {
      throw new Problem(503, "no_identity_provider", `${this.name} does not answer: ${(error as Error).message}`, [], {
        "Retry-After": "10",
      });
    });
    const verifier = client.randomPKCECodeVerifier();
    const pending: Pending = { state: client.randomState(), nonce: client.randomNonce(), verifier, back };
    await setSignedCookie(c, PENDING_COOKIE, JSON.stringify(pending), this.#pendingKey, {
      httpOnly: true,
      // The provider's answer is a request from another site.
      sameSite: "Lax",
      path: withBase("/login", this.publicUrl),
      maxAge: PENDING_S,
      secure: this.publicUrl.protocol === "https:",
    });
    return client.buildAuthorizationUrl(config, {
      redirect_uri: this.#redirect,
      scope: "openid profile email",
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
      state: pending.state,
      nonce: pending.nonce,
    });
  }

  /**
   * Finishes a sign-in.
   *
   * @throws {Problem} 401 if it cannot be trusted, 403 if the person has no role here.
   */
  async finish(c: Context<AppEnv>): Promise<{ credential: Credential; back: string }> {
    const raw = await getSignedCookie(c, this.#pendingKey, PENDING_COOKIE);
    deleteCookie(c, PENDING_COOKIE, { path: withBase("/login", this.publicUrl) });
    if (!raw) throw new Problem(401, "sign_in_failed", "The sign-in took too long, or began elsewhere. Begin again.");
    const { state, nonce, verifier, back } = JSON.parse(raw) as Pending;
    const answer = new URL(this.#redirect);
    answer.search = new URL(c.req.url).search;
    let claims: client.IDToken | undefined;
    try {
      const checks = { expectedState: state, expectedNonce: nonce, pkceCodeVerifier: verifier, idTokenExpected: true };
      claims = (await client.authorizationCodeGrant(await this.#discovered(), answer, checks)).claims();
    } catch (error) {
      const { error: code, message } = error as Error & { error?: string };
      throw new Problem(401, "sign_in_failed", `${this.name} did not sign you in: ${code ?? message}`);
    }
    const role = this.#roleOf(claims!);
    const name = nameOf(claims!);
    if (!role) throw new Problem(403, "forbidden", `${name} has no role here: ask whoever runs this service.`);
    return { credential: personOf(`oidc/${role}/${encodeURIComponent(name)}`, this.sessionKey)!, back };
  }

  /** The highest role that the claims of a person give. */
  #roleOf(claims: client.IDToken): Role | undefined {
    const { claim, groups } = this.settings;
    const values = [claims[claim]].flat().map(String);
    return ROLES.toReversed().find((role) => groups[role] !== undefined && values.includes(groups[role]));
  }
}
