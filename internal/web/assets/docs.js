// The reference page: everything from this server, nothing that calls elsewhere.
Scalar.createApiReference("#reference", {
  url: "/openapi.json",
  agent: { disabled: true },
  mcp: { disabled: true },
  showDeveloperTools: "never",
  hideClientButton: true,
  hideModels: true,
  operationTitleSource: "path",
  withDefaultFonts: false,
  telemetry: false,
  defaultOpenAllTags: false,
  metaData: { title: "m3o reference" },
});
