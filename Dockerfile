# The server in a container:
#   docker build -t diskport .
#   docker run -p 8080:8080 -v diskport:/data -e DISKPORT_ROOT_PASSWORD=secret diskport

FROM node:24-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
# Only the compiler is needed here: no package has to set itself up.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src src
COPY routes routes
RUN npm run prepack

FROM node:24-slim
ENV NODE_ENV=production \
    DISKPORT_LISTEN=0.0.0.0:8080 \
    DISKPORT_DATA=/data
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev && npm cache clean --force
COPY --from=build /build/dist dist
COPY bin bin
COPY LICENSE ./
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.DISKPORT_LISTEN_PLAIN || process.env.DISKPORT_LISTEN).split(':').at(-1) + '/health').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# No shell between: SIGTERM reaches the server, which ends its transfers and exits.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "--max-semi-space-size=1", "--expose-gc", "bin/diskport.mjs"]
