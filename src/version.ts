// The version that the server tells of itself. A test holds it equal to package.json's.

export const version = '0.1.0'
