package database

// MigrationLock is the advisory lock's key, for the test that holds it.
const MigrationLock = migrationLock
