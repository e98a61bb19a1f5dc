package serve

// Main runs the service's command line (serve, migrate, healthcheck, version)
// with the process's arguments, environment and signals, and returns the exit
// code: 0 success, 1 failure, 2 wrong usage or configuration.
func Main(svc Service) int { return 1 }
