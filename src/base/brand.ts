declare const brand: unique symbol;

/**
 * A value of type `T` that carries a name only the compiler sees. Two brands over `number` never mix,
 * though both are plain numbers at run time.
 */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };
