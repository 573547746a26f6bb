/**
 * Sign-in of people by OpenID Connect.
 *
 * @module
 */

/** An identity provider that people sign in with. */
export interface Oidc {
  /** Signs the cookies of people. */
  sessionKey: string;
}
