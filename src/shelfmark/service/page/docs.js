// The contract of the service, shown by Swagger UI.

// Where this script came from, whatever path of a proxy the service stands under.
const service = new URL("..", import.meta.url);

const response = await fetch(new URL("openapi.json", service));
const spec = { ...(await response.json()), servers: [{ url: service.href.replace(/\/$/, "") }] };

SwaggerUIBundle({
  spec,
  dom_id: "#docs",
  deepLinking: true,
  showExtensions: true,
  showCommonExtensions: true,
  validatorUrl: null,
});
